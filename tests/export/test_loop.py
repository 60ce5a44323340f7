"""Flights staged to learn from and to mislead, and the twin in which a policy goes on learning."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from swarmhold.export.bench import main as bench
from swarmhold.export.loop.field import dataset
from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.policies.arms import make_actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.offline import twin
from swarmhold.policies.offline.twin import TwinPlan, as_found, between, from_model, read_ranges
from swarmhold.policies.offline.view import rolled
from swarmhold.policies.train import Learner
from swarmhold.sim.dataset.layout import Behaviour
from swarmhold.sim.dataset.reader import Dataset, open_dataset
from swarmhold.sim.dataset.staged import Log, Stage, opposed, staged, swapped
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.gap.analysis import analyse

BUNDLES = Path(__file__).resolve().parents[2] / "export/swarmhold/export/bundles"
HIDDEN = parse_hidden(["latency=0.2", "wheel_scale=1.2"], 2)
CONFIG = TrainConfig(
    scenario="rendezvous", robots=2, min_robots=2, width=16, heads=2, warm_start=1,
    regulariser="none",
)  # fmt: skip


@cache
def bundle(name: str = "rendezvous-epuck") -> Bundle:
    return open_bundle(BUNDLES / name)


@cache
def flight(**how: float) -> tuple[Log, object]:
    bent = {name: {0: since} for name, since in how.items()}
    return staged(bundle(), 2, 4, Stage(HIDDEN, **bent), 8.0, "flight")


def built(tmp_path: Path, log: Log, name: str = "rendezvous-epuck") -> Dataset:
    dataset([log], bundle(name), tmp_path / "data", lambda _: None)
    return open_dataset(tmp_path / "data")


def test_a_staged_flight_is_one_that_was_recorded(tmp_path: Path) -> None:
    name = "coverage-epuck"
    log, motions = staged(bundle(name), 2, 4, Stage(HIDDEN, 0.15), 8.0, "flight")
    data = built(tmp_path, log, name)
    arrays, quality = data.arrays("train"), data.manifest.quality
    assert (quality.ticks, quality.episodes, quality.stale) == (80, 1, 0)
    assert quality.teleop == quality.lying == quality.disobedient == 0
    assert 0.05 < quality.off_policy < 0.25 and arrays["reward"].std() > 0.0
    ranges = analyse(motions, bundle(name), False, lambda _: None).ranges
    assert ranges["latency_s"][0] < 0.2 < ranges["latency_s"][1]
    assert ranges["wheel_scale"][0] < 1.2 < ranges["wheel_scale"][1]


def test_poison_is_refused_or_marked(tmp_path: Path) -> None:
    log, _ = flight()
    with pytest.raises(ConfigError, match="labels are swapped"):
        built(tmp_path / "a", swapped(log, 0, 1))
    assert built(tmp_path / "b", opposed(log, 0)).manifest.quality.disobedient > 20
    steered = built(tmp_path / "c", flight(hand=4.0)[0])
    assert 10 <= steered.manifest.quality.teleop <= 45
    assert (steered.arrays("train")["behaviour"] != Behaviour.TELEOP).all()
    lied = built(tmp_path / "d", flight(lies=4.0)[0])
    assert 35 <= lied.manifest.quality.lying <= 50
    assert (lied.arrays("train")["fault"][45:, 0] > 1).all()


def test_ranges_reach_from_the_model_to_what_was_found(tmp_path: Path) -> None:
    file = tmp_path / "ranges.yaml"
    file.write_text("disturbances: {latency_s: [0.2, 0.3], wheel_scale: [0.7, 0.8]}\n")
    found = as_found(Disturbances(position_noise=0.01), read_ranges(file))
    assert (found.latency_s, found.position_noise) == ((0.2, 0.3), 0.01)
    wide = from_model(found)
    assert (wide.latency_s, wide.wheel_scale) == ((0.0, 0.3), (0.7, 1.0))
    for text in ("disturbances: {latency: 1}", "- 1", "disturbances: ["):
        file.write_text(text)
        with pytest.raises(ConfigError, match="holds no ranges"):
            read_ranges(file)


def test_a_policy_between_two_is_between_them() -> None:
    torch.manual_seed(0)
    old, new = make_actor(CONFIG), make_actor(CONFIG)
    name, half = next(iter(old.state_dict())), between(old, new, 0.5).state_dict()
    want = 0.5 * (old.state_dict()[name] + new.state_dict()[name])
    torch.testing.assert_close(half[name], want)


def test_what_is_chosen_in_the_twin_gains_and_stays_within_the_cap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    actor, figures = make_actor(CONFIG).eval(), []
    held = rolled(SwarmEnv("rendezvous", "epuck", 1, 2), actor, 0.1, 0)

    def drift(config: TrainConfig, learner: Learner, *_: object) -> dict[str, float]:
        assert config.disturbances.latency_s == (0.0, 0.2)
        with torch.no_grad():
            for weight in learner.actor.parameters():
                weight += 0.02 * torch.randn_like(weight)
        return {}

    monkeypatch.setattr(twin, "iterate", drift)
    plan = TwinPlan(iterations=6, teams=2, every=2, judged=2, most_lost=1.0)
    found = Disturbances(latency_s=(0.2, 0.2))
    learned = twin.learn_in_twin(
        CONFIG, actor, found, held, 2, plan, lambda _, told: figures.append(told)
    )
    judged = [one for one in figures if one]
    most = max(one[f"gain {share:g}"] for one in judged for share in twin.SHARES)
    assert [bool(one) for one in figures] == [False, True] * 3 and most > 0.0
    assert learned.iterations and learned.verdict.passed
    best = figures[learned.iterations - 1]
    assert best[f"gain {learned.share:g}"] == judged[-1]["best"] <= most
    still = twin.learn_in_twin(CONFIG, actor, found, held, 2, replace(plan, cap=1e-6))
    assert still.actor is actor and still.iterations == 0
    with pytest.raises(ConfigError, match="MAPPO"):
        other = CONFIG.model_copy(update={"algorithm": "maddpg"})
        twin.learn_in_twin(other, actor, found, held, 2, plan)


def test_a_bench_without_seeds_is_one_line() -> None:
    with pytest.raises(ConfigError, match="need at least 1"):
        bench(["loop", "--seeds", "0"])
