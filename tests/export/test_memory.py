"""Policies with memory: the file is the network over sequences, and robots forget by the rule."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.export import parity
from swarmhold.export.bench import time_team
from swarmhold.export.cli import main
from swarmhold.export.graph import to_onnx
from swarmhold.export.parity import TOLERANCE, compare, golden
from swarmhold.export.seal import record
from swarmhold.hardware.bundle import graph_names, open_bundle, seal_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.errors import BundleError, SpecMismatchError
from swarmhold.hardware.memory import Memory, MemoryRule
from swarmhold.hardware.messages import Mode, SensorFrame, Task
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam, PolicyStep
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Float, Observation
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.evaluate import torch_policy
from swarmhold.policies.recurrent import RecurrentActor
from swarmhold.policies.train import train
from swarmhold.sim.env import SwarmEnv

SPEC = policy_spec("epuck")
SIZE = 12
SHAPES = ((SPEC.self_size,), (1, SPEC.team_size), (1, SPEC.obstacle_size), (1,))
INPUTS, OUTPUTS = graph_names(remembers=True)
DT = 0.05
RULE = MemoryRule(size=SIZE, gap_s=0.5)


def make_actor() -> RecurrentActor:
    torch.set_num_threads(1)
    torch.manual_seed(5)
    actor = RecurrentActor(SPEC, SIZE, 32, 4)
    with torch.no_grad():
        actor.head[-1].weight.mul_(10.0)
        actor.gru.recall.weight.mul_(4.0)  # what was, decides
    return actor.eval()


ACTOR = make_actor()
MODEL = to_onnx(ACTOR, SPEC)
SESSION = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def recorded() -> Observation:
    env = SwarmEnv("rendezvous", "epuck", 2, 4, seed=1)
    seen = record(env, torch_policy(ACTOR), every=20)
    env.close()
    return seen


def seal(folder: Path, recorded: Observation, **changed: object) -> Path:
    fields = {
        "name": "test", "scenario": "rendezvous", "robot": "epuck", "team_sizes_trained": (2, 4),
        "rate_hz": SPEC.rate_hz, "training": {}, "health": HealthSettings().to_dict(),
        "created": "today", "memory": RULE, **changed,
    }  # fmt: skip
    files = {"model.onnx": MODEL, "golden.npz": golden(MODEL, recorded)}
    seal_bundle(folder, fields, {**files, "parity.json": b"{}", "model_card.md": b""})
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, recorded: Observation) -> Path:
    return seal(tmp_path_factory.mktemp("memory") / "bundle", recorded)


def test_parity_over_sequences(recorded: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "TEAM_SIZES", range(2, 51, 8))
    found = compare(ACTOR, MODEL, SPEC, recorded)
    assert found.worst <= TOLERANCE
    assert found.steps == 20 and found.as_dict()["steps"] == 20
    assert found.cases == 7 * 20 * parity.CASES
    other = make_actor()
    with torch.no_grad():
        other.gru.recall.weight[0, 0] += 0.1  # a difference that only memory can show
    assert compare(other, MODEL, SPEC, recorded).worst > 1e-4


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    mates=st.integers(1, 30),
    spots=st.integers(1, 10),
    batch=st.integers(1, 4),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e30]),
)
def test_the_file_is_the_network_and_garbage_does_not_stay(
    seed: int, mates: int, spots: int, batch: int, bad: float
) -> None:
    rng = np.random.default_rng(seed)
    ours = theirs = np.full((batch, SIZE), bad, np.float32)
    for _ in range(5):
        shapes = [(SPEC.self_size,), (mates, SPEC.team_size), (mates,)]
        shapes += [(spots, SPEC.obstacle_size), (spots,)]
        feeds = [rng.normal(size=(batch, *shape)).astype(np.float32) for shape in shapes]
        given = dict(zip(INPUTS, [*feeds, theirs], strict=True))
        action, shares, theirs = SESSION.run(OUTPUTS, given)
        with torch.no_grad():
            wanted = [x.numpy() for x in ACTOR(*map(torch.from_numpy, [*feeds, ours]))]
        ours = wanted[-1]
        assert np.abs(theirs).max() <= 1.0 and np.isfinite(action).all()
        for found, right in zip((action, shares, theirs), wanted, strict=True):
            np.testing.assert_allclose(found, right, atol=TOLERANCE)


def test_graph_has_one_more_input_and_output(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert [item.name for item in opened.session.get_inputs()] == list(opened.inputs)
    assert [item.name for item in opened.session.get_outputs()] == list(opened.outputs)
    assert (opened.inputs[-1], opened.outputs[-1]) == ("hidden", "hidden_next")
    with np.load(bundle / "golden.npz") as stored:
        assert stored["case2_hidden"].shape == stored["case2_hidden_next"].shape == (8, SIZE)
        assert np.isnan(stored["case2_hidden"]).any()
    told = json.loads((bundle / "manifest.json").read_text())["memory"]
    assert told["gap_s"] == 0.5 and "zero at activation" in told["reset"]


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (None, "graph has inputs"),
        (MemoryRule(size=SIZE + 1, gap_s=0.5), f"'hidden' has width {SIZE}"),
    ],
)
def test_a_manifest_that_does_not_fit_the_graph_is_refused(
    tmp_path: Path, recorded: Observation, memory: MemoryRule | None, words: str
) -> None:
    with pytest.raises(SpecMismatchError, match=words):
        open_bundle(seal(tmp_path, recorded, memory=memory))


def test_a_rule_that_a_robot_does_not_know_is_refused(tmp_path: Path, bundle: Path) -> None:
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    values = json.loads((tmp_path / "manifest.json").read_text())
    values["memory"]["reset"] = "never"
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"memory\.reset: .*unknown reset rule") as caught:
        open_bundle(tmp_path)
    assert "\n" not in str(caught.value)


def test_old_manifests_have_no_memory(rendezvous_bundle: Path) -> None:
    opened = open_bundle(rendezvous_bundle)
    assert opened.manifest.memory is None
    assert "memory" not in json.loads((rendezvous_bundle / "manifest.json").read_text())


def test_a_bundle_and_its_network_are_one_team_policy(bundle: Path, recorded: Observation) -> None:
    file, network = OnnxTeam(OnnxPolicy(open_bundle(bundle))), torch_policy(ACTOR)
    moments = [Observation(*(x[k] for x in fields(recorded))) for k in range(4)]
    weights = np.ones((2, 4, 3))
    anew = np.zeros((2, 4), bool)
    anew[0, 1] = True
    played = []
    for robots in (None, anew, None):
        for policy in (file, network):
            policy.reset(robots)
        for seen in moments:
            played.append(file(seen, weights))
            np.testing.assert_allclose(played[-1], network(seen, weights), atol=TOLERANCE)
    np.testing.assert_array_equal(played[0], played[8])
    assert (played[0] != played[4]).any()


def fields(seen: Observation) -> tuple[Float, ...]:
    return seen.self_token, seen.team, seen.obstacles, seen.obstacle_mask


@given(times=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=20))
def test_memory_is_kept_over_short_gaps_only(times: list[float]) -> None:
    memory, now = Memory(RULE), 100.0
    assert memory.recall(now) is None
    for gap in times:
        memory.keep(np.ones(SIZE), now)
        before, now = now, now + gap
        assert (memory.recall(now) is None) == (now - before > RULE.gap_s)
    memory.keep(np.ones(SIZE), now)
    assert memory.recall(now - 1.0) is None  # a clock that goes back is no clock


class Watched(OnnxPolicy):
    """Notes what every decision was given."""

    given: list[Float | None]

    def act(
        self, observation: Observation, health: Float, hidden: Float | None = None
    ) -> PolicyStep:
        self.given.append(hidden)
        return super().act(observation, health, hidden)


class Robot:
    """A robot at rest, whose team is never heard."""

    def __init__(self, bundle: Path, team: int = 1) -> None:
        self.policy, self.team, self.now = Watched(open_bundle(bundle)), team, 10.0
        self.boot()

    def boot(self) -> None:
        task, config = Task((), (0.0, 0.0, 0.0), 1.0), ControllerConfig(0, self.team)
        self.controller = RobotController(self.policy, task, config)

    def run(self, ticks: int) -> list[bool]:
        """Whether each decision started from zero."""
        self.policy.given = []
        for _ in range(ticks):
            frame = SensorFrame(
                stamp=self.now, position=(0.3, 0.1, 0.0), velocity=(0.0, 0.0, 0.0), yaw=0.2,
                yaw_rate=0.0, battery=1.0, sighted=(), sightings=(), bodies=(),
            )  # fmt: skip
            self.status = self.controller.tick(frame, self.now).status
            self.now += DT
        return [hidden is None for hidden in self.policy.given]


@pytest.fixture
def robot(bundle: Path) -> Robot:
    return Robot(bundle)


def test_memory_goes_from_decision_to_decision(robot: Robot) -> None:
    assert robot.run(8) == [True, False, False, False]
    changes = np.abs(np.diff(np.stack(robot.policy.given[1:]), axis=0))
    assert (changes.max(axis=-1) > 0.0).all()


def test_a_robot_forgets_when_it_is_activated_again_or_boots(robot: Robot) -> None:
    robot.run(4)
    robot.controller.on_activate()
    assert robot.run(4) == [True, False]
    robot.boot()
    assert robot.run(4) == [True, False]


def test_a_robot_forgets_over_a_long_gap_only(robot: Robot) -> None:
    robot.run(4)
    robot.now += 0.3
    assert robot.run(4) == [False, False]
    robot.now += 0.5
    assert robot.run(4) == [True, False]


def test_a_stopped_robot_remembers_nothing(robot: Robot) -> None:
    robot.run(4)
    robot.controller.on_estop()
    assert robot.run(6) == [False, True, True]  # the first decision fell before the stop
    assert robot.status.mode == Mode.STOP


def test_a_robot_that_holds_remembers_nothing(bundle: Path) -> None:
    robot = Robot(bundle, team=3)
    assert robot.run(20).count(True) == 1
    robot.run(400)
    assert robot.status.mode == Mode.HOLD
    assert all(robot.run(4))


def test_an_output_that_is_not_finite_moves_nothing_and_is_forgotten(robot: Robot) -> None:
    broken = make_actor()
    with torch.no_grad():
        broken.gru.recall.bias[0] = torch.nan
    session = onnxruntime.InferenceSession(to_onnx(broken, SPEC), providers=SESSION.get_providers())
    robot.run(4)
    sound = robot.policy.bundle
    robot.policy.bundle = replace(sound, sessions=(session,))
    seen = Observation(*(np.zeros(shape) for shape in SHAPES))
    step = robot.policy.act(seen, np.ones(1), np.ones(SIZE))
    assert not step.finite and step.hidden is None and (step.action == 0.0).all()
    assert robot.run(2) == [False]
    robot.policy.bundle = sound
    assert robot.run(4) == [True, False]


def test_a_trained_run_becomes_a_bundle_that_remembers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "TEAM_SIZES", range(2, 51, 16))
    config = TrainConfig(
        scenario="brief",
        robots=4,
        teams=2,
        warm_start=0,
        iterations=1,
        width=16,
        heads=2,
        recurrent=8,
    )
    run = train(config, tmp_path / "run", False, lambda *_: None)
    assert main([str(run), "--out", str(tmp_path / "bundle"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["parity"]["steps"] == 20 and figures["parity"]["worst"] <= TOLERANCE
    opened = open_bundle(tmp_path / "bundle")
    assert opened.manifest.memory == MemoryRule(size=8, gap_s=5 / SPEC.rate_hz)
    assert time_team(opened, 5, 10)["p50"] > 0.0
    assert "Remembers 8 values" in (tmp_path / "bundle/model_card.md").read_text()
