"""Whatever a robot is told or measures, what its policy says is finite and within bounds."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from swarmhold.hardware.bundle import INPUTS
from swarmhold.hardware.cli.verify import main
from swarmhold.hardware.fuzz import Feeds, fuzz, observations
from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.arms import make_actor
from swarmhold.policies.config import TrainConfig

SPEC = policy_spec("epuck")
BUNDLES = sorted(Path(str(files("swarmhold.export").joinpath("bundles"))).iterdir())


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_shipped_bundles(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bundle), "--fuzz", "24000"]) == 0
    assert "24,000 arbitrary observations" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [{}, {"recurrent": 8}, {"actor": "mlp"}, {"actor": "aacft"}, {"actor": "ft-attn"}],
    ids=str,
)
def test_every_actor_in_torch(options: dict[str, object]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = TrainConfig(**{"robots": 4, "width": 16, "heads": 2, "regulariser": "none", **options})
    actor, size = make_actor(config).eval(), config.recurrent
    with torch.no_grad():
        for value in actor.parameters():  # far from where training would leave them
            value.mul_(3.0)
    names = (*INPUTS, "hidden") if size else INPUTS

    def act(feeds: Feeds) -> dict[str, np.ndarray]:
        with torch.no_grad():
            out = actor(*(torch.from_numpy(feeds[name]) for name in names))
        told = ("action", "attention", "hidden_next")
        return {name: part.numpy() for name, part in zip(told, out, strict=False)}

    found = fuzz(act, SPEC, 12_000, 1, size)
    assert found.good and found.observations == 12_000


def test_the_values_are_as_wild_as_they_are_said_to_be() -> None:
    feeds = next(observations(SPEC, 1, 0))
    team = feeds["team"]
    assert np.isnan(team).any() and np.isinf(team).any() and (np.abs(team) > 1e30).any()
    tame = np.isfinite(team).all(axis=(1, 2)) & (np.abs(team) < 20).all(axis=(1, 2))
    assert 0.2 < tame.mean() < 0.5  # otherwise nothing but the clipping would be tried
    again = next(observations(SPEC, 1, 0))
    assert all(feeds[name].tobytes() == again[name].tobytes() for name in feeds)


def test_bad_graphs_are_noticed() -> None:
    def leaks(feeds: Feeds) -> dict[str, np.ndarray]:
        return {"action": feeds["self"][:, :2]}

    def shouts(feeds: Feeds) -> dict[str, np.ndarray]:
        return {"action": np.nan_to_num(feeds["self"][:, :2], posinf=0.0, neginf=0.0)}

    found = fuzz(leaks, SPEC, 4000, 0)
    assert found.not_finite > 100 and not found.good
    assert fuzz(shouts, SPEC, 4000, 0).out_of_bounds > 100
