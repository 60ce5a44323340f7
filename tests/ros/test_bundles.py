"""Every bundle that ships flies, with real processes."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from swarmhold.export.demo import SHIPPED
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet

sys.path.insert(0, str(Path(__file__).parent))
from fleet import states, wait_for

pytestmark = pytest.mark.system
BUNDLES = sorted(Path(str(SHIPPED)).iterdir())


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_shipped_bundle_flies(tmp_path, bundle):
    with Fleet(FleetConfig(bundle, 4, tmp_path / "f", record=False)) as fleet:
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 4 and fleet.live.world)
        start = np.array(fleet.live.world["positions"])
        time.sleep(4.0)
        fleet.check(set())
        moved = np.linalg.norm(np.array(fleet.live.world["positions"]) - start, axis=-1)
        assert (moved > 0.02).sum() >= 2, "the team has set off"
        assert fleet.held_up or states(fleet) == ["HEALTHY"] * 4
