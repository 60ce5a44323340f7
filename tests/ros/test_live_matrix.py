"""The fault matrix, live: one test for every kind and severity, made from the registry itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from swarmhold.export.demo import SHIPPED
from swarmhold.hardware.expectations import EXPECTED
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.matrix import live_cell

pytestmark = pytest.mark.system
CELLS = [(kind, severity) for kind in KINDS for severity in EXPECTED[kind].severities]
BUNDLE = Path(str(SHIPPED.joinpath("coverage-epuck")))


@pytest.mark.parametrize(("kind", "severity"), CELLS)
def test_what_becomes_of_a_broken_robot(tmp_path, kind, severity):
    config = FleetConfig(BUNDLE, 5, tmp_path, record=False, processes=2)  # it, and the others
    found = live_cell(config, kind, severity)
    if not found.good:  # most flights are to be as expected, not each
        found = live_cell(replace(config, folder=tmp_path / "more"), kind, severity, flights=4)
    assert found.good, found
