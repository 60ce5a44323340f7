"""Slices of joint policies: each graph does what the joint network does, and hears whom it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.export import slices_cli
from swarmhold.export.slices import seal_slices, slice_to_onnx
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.drivers.loopback import LoopbackDriver, LoopbackWorld
from swarmhold.hardware.errors import BundleError, ConfigError, SpecMismatchError
from swarmhold.hardware.messages import Mode, Task
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.sliced import SlicedPolicy, policy_of
from swarmhold.hardware.slices import SLICE_NAMES
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Observation
from swarmhold.policies.bun import meeting
from swarmhold.policies.bun.cost import cost_of
from swarmhold.policies.bun.network import JointNetwork, Shape
from swarmhold.policies.bun.slice import SliceNetwork, Units

OWN = (0, 1, 2, 3, 4)  # of the self token: all but the way home
AGE_MS = 400.0


def grown(shape: Shape, seed: int, share: float, deep: bool) -> JointNetwork:
    """A network with random openings."""
    rng = torch.Generator().manual_seed(seed)
    net = JointNetwork(shape, rng, wide=True)
    apart = ~torch.eye(shape.robots, dtype=torch.bool)[:, None, :, None]
    for index, (weight, mask) in enumerate(net.sparse()):
        if index == 0 or deep:
            mask |= (torch.rand(mask.shape, generator=rng) < share) & apart
        weight.data = torch.randn(weight.shape, generator=rng) / weight.shape[3] ** 0.5 * mask
    for bias in net.biases:
        bias.data = 0.3 * torch.randn(bias.shape, generator=rng)
    return net.requires_grad_(False)


def edged(robots: int, edges: list[tuple[int, int]], seed: int = 0) -> JointNetwork:
    """A network for tokens of the contract, with whole blocks open."""
    rng = torch.Generator().manual_seed(seed)
    net = JointNetwork(Shape(robots, len(OWN), 8, (6, 6)), rng)
    for receiver, sender in edges:
        net.link_mask[receiver, :, sender] = True
    net.links.data = torch.randn(net.links.shape, generator=rng) * net.link_mask
    return net.requires_grad_(False)


def run(model: bytes, *arrays: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feeds = {k: v.astype(np.float32) for k, v in zip(SLICE_NAMES[0], arrays, strict=True)}
    return session.run(SLICE_NAMES[1], feeds)[0]


def fed(part: SliceNetwork, seen: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, ...]:
    """Inputs of a slice from what everybody sees (B, N, D) and who is heard (B, N)."""
    parts = [seen[:, sender][:, indices] for sender, indices in part.needs]
    remote = np.concatenate([*parts, np.zeros((len(seen), 0))], axis=-1)
    bits = valid[:, [sender for sender, _ in part.needs]]
    padded = [a if a.shape[1] else np.zeros((len(seen), 1)) for a in (remote, bits)]
    return seen[:, part.robot], *padded


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    robots=st.integers(2, 5),
    share=st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    deep=st.booleans(),
)
def test_every_slice_is_the_joint_network(seed: int, robots: int, share: float, deep: bool) -> None:
    net = grown(Shape(robots, 3, 3, (5, 4)), seed, share, deep)
    rng = np.random.default_rng(seed)
    seen = rng.uniform(-2.0, 2.0, (6, robots, 3))
    for robot in range(robots):
        part = SliceNetwork(net, robot, Units.plain(net))
        valid = rng.random((6, robots)) < 0.7
        valid[:, robot] = True
        everyone = np.repeat(valid[:, None], robots, axis=1)  # what this robot hears of each
        given_ = (torch.from_numpy(x.astype(np.float32)) for x in (seen, seen[:, None], everyone))
        wanted = net(*given_).numpy()[:, robot]
        found = run(slice_to_onnx(part), *fed(part, seen, valid))
        np.testing.assert_allclose(found, wanted, atol=1e-6, rtol=0)
        columns = {j for j in range(robots) if j != robot and net.link_mask[robot, :, j].any()}
        hears = {sender for sender, _ in part.needs}
        assert hears >= columns and (deep or hears == columns)


def test_a_slice_of_layer_one_edges_costs_its_share() -> None:
    net = edged(6, [(0, 3), (1, 3), (5, 2)])
    parts = [SliceNetwork(net, robot, Units.plain(net), apart=True) for robot in range(6)]
    cost, padding = cost_of(net), 6 * 2  # two columns of zeros where nobody is heard
    assert sum(part.products for part in parts) - 3 * padding == cost.within + cost.across


def test_units_of_others_cannot_be_computed_from_what_is_relative() -> None:
    net = grown(Shape(3, 3, 3, (4, 4)), 1, 0.3, deep=True)
    with pytest.raises(ConfigError, match="grow edges in the first layer only"):
        SliceNetwork(net, 0, Units.plain(net), apart=True)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sliced")
    net = edged(4, [(0, 2), (1, 0), (1, 3)])
    seal_slices(net, out, "rendezvous", "crazyflie", OWN, AGE_MS, {"seed": 0})
    return out


def observation(rng: np.random.Generator) -> Observation:
    team = rng.normal(size=(3, 9))
    team[:, -1] = 0.05
    return Observation(rng.normal(size=7), team, np.zeros((0, 9)), np.zeros(0))


def test_manifest_says_who_must_be_heard(sealed: Path) -> None:
    plan = json.loads((sealed / "manifest.json").read_text())["slices"]
    assert plan["slices"][1]["subscribe"] == [
        {"robot": sender, "topic": "state", "indices": list(range(8)), "max_age_ms": AGE_MS}
        for sender in (0, 3)
    ]
    assert plan["slices"][1]["fallback"] == "zero+invalid" and plan["slices"][1]["publish"] == []
    bundle = open_bundle(sealed)
    assert bundle.manifest.slices is not None
    assert bundle.manifest.slices.edges == [(0, 2), (1, 0), (1, 3)]
    assert bundle.manifest.slices.dependants(3) == [1]
    model = onnx.load(sealed / "slice_1.onnx")
    assert not any(x.data_location == onnx.TensorProto.EXTERNAL for x in model.graph.initializer)


def test_losing_a_robot_changes_only_who_depends_on_it(sealed: Path) -> None:
    opened, rng = OnnxPolicy(open_bundle(sealed)), np.random.default_rng(0)
    for lost in range(4):
        for robot in (one for one in range(4) if one != lost):
            policy = policy_of(opened, robot, 4)
            assert isinstance(policy, SlicedPolicy)
            seen, row = observation(rng), lost - (lost > robot)
            whole = policy.act(seen, np.ones(3))
            weights = np.ones(3)
            weights[row] = 0.0
            without = policy.act(seen, weights)
            changed = not np.array_equal(whole.action, without.action)
            assert changed == (lost in policy.heeds)
            seen.team[row, -1] = 1e-3 * AGE_MS + 0.01  # nor does it make a difference how
            np.testing.assert_array_equal(policy.act(seen, np.ones(3)).action, without.action)
            seen.team[row, 0] = np.nan
            np.testing.assert_array_equal(policy.act(seen, np.ones(3)).action, without.action)
            assert without.attention[row] == 0.0 and without.attention.sum() == pytest.approx(1.0)


def test_batches_of_observations_are_decided_one_by_one(sealed: Path) -> None:
    policy, rng = SlicedPolicy(open_bundle(sealed), 1), np.random.default_rng(1)
    several = [observation(rng) for _ in range(5)]
    names = ("self_token", "team", "obstacles", "obstacle_mask")
    together = Observation(*(np.stack([getattr(x, name) for x in several]) for name in names))
    step = policy.act(together, np.ones((5, 3)))
    alone = np.stack([policy.act(one, np.ones(3)).action for one in several])
    np.testing.assert_allclose(step.action, alone, atol=1e-6)
    assert step.attention.shape == (5, 4)


def edited(sealed: Path, to: Path, change) -> Path:
    shutil.copytree(sealed, to)
    manifest = json.loads((to / "manifest.json").read_text())
    change(manifest, to)
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_what_does_not_fit_is_refused_in_one_line(sealed: Path, tmp_path: Path) -> None:
    bundle = open_bundle(sealed)
    with pytest.raises(BundleError, match="cut for 4 robots, not for 5; fly it with --robots 4"):
        policy_of(OnnxPolicy(bundle), 0, 5)
    with pytest.raises(BundleError, match="it can be flown and replayed, and nothing else"):
        OnnxPolicy(bundle).act(observation(np.random.default_rng(0)), np.ones(3))

    def stranger(manifest, _):
        manifest["slices"]["slices"][0]["subscribe"][0]["robot"] = 7

    def fewer(manifest, _):
        manifest["slices"]["slices"][0]["subscribe"][0]["indices"].pop()

    def swapped(manifest, _):
        files, parts = manifest["files"], manifest["slices"]["slices"]
        parts[1]["file"], parts[0]["file"] = parts[0]["file"], parts[1]["file"]
        assert len(files) >= 10

    def without(manifest, _):
        del manifest["files"]["slice_2.onnx"]

    for number, (change, kind, message) in enumerate(
        [
            (stranger, BundleError, "slice 0 hears what there is not"),
            (fewer, SpecMismatchError, "the manifest says"),
            (swapped, BundleError, "slice_1.onnx is not slice 0"),
            (without, BundleError, "does not list slice_2.onnx"),
        ]
    ):
        with pytest.raises(kind, match=message) as raised:
            open_bundle(edited(sealed, tmp_path / str(number), change))
        assert "\n" not in str(raised.value)
    broken = tmp_path / "broken"
    shutil.copytree(sealed, broken)
    model = bytearray((broken / "slice_3.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (broken / "slice_3.onnx").write_bytes(model)
    with pytest.raises(BundleError, match=r"slice_3\.onnx is not the file that was sealed"):
        open_bundle(broken)


def flown(policy: OnnxPolicy, silent: int, seconds: float = 6.0):
    """Four robots in one process, of whom one says nothing; last ticks and controllers."""
    place = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    world = LoopbackWorld(policy_spec("crazyflie"), place, np.zeros(4))
    drivers = [LoopbackDriver(world, robot) for robot in range(4)]
    for driver in drivers:
        driver.connect()
    task = Task((), (0.0, 0.0, 0.0), 5.0)
    robots = [
        RobotController(policy_of(policy, i, 4), task, ControllerConfig(i, 4, boot_id=i + 1))
        for i in range(4)
    ]
    ticks, now = [], 10.0
    for _ in range(round(seconds / 0.05)):
        ticks = [
            robot.tick(driver.read(), now) for robot, driver in zip(robots, drivers, strict=True)
        ]
        for driver, tick in zip(drivers, ticks, strict=True):
            driver.command(tick.command)
        now += 0.05
        world.advance(0.05)
        for tick in ticks:
            if tick.state.robot != silent:
                for robot in robots:
                    robot.on_state(tick.state, now)
    return ticks, robots, now


def test_robots_miss_only_whom_they_listen_to_and_fly_on_without(sealed: Path) -> None:
    ticks, robots, now = flown(OnnxPolicy(open_bundle(sealed)), silent=2)
    modes = [Mode(tick.command.mode) for tick in ticks]
    assert modes == [Mode.ACTIVE] * 4, (
        "also robot 2, which hears nobody, and 0, which hears none now"
    )
    bits = [np.frombuffer(tick.state.accusations, "<u2") for tick in ticks]
    heard = [[j for j in range(4) if bits[i][j] & Accusation.HEARD] for i in range(4)]
    assert heard == [[], [0, 3], [], []]
    assert ticks[3].status.weights == (1.0,) * 4 and ticks[1].status.weights == (1.0,) * 4
    assert ticks[0].status.attention == (1.0, 0.0, 0.0, 0.0), "nobody"
    assert ticks[1].status.attention == (0.5, 0.0, 0.0, 0.5)
    assert [robot.team_complete(now) for robot in robots] == [False, True, True, True]


def test_the_verb_learns_cuts_and_seals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "FIRST", 8)
    monkeypatch.setattr(slices_cli, "LEAST_UPDATES", 8)
    short = [str(tmp_path / "b"), "--robots", "3", "--edges", "1", "--updates", "9"]
    assert slices_cli.main([*short, "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert len(found["edges"]) == 1 and found["groups"] == 2 and "these do not meet" in said.err
    plan = open_bundle(tmp_path / "b").manifest.slices
    assert plan is not None and [list(edge) for edge in plan.edges] == found["edges"]
    with pytest.raises(ConfigError, match="give 2 to 12 robots"):
        slices_cli.main([*short[:2], "1"])
