"""Robots begin to move from rest, at the start and after whatever held them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import (
    ALONE_S,
    ASSEMBLE_S,
    SLOW,
    ControllerConfig,
    RobotController,
)
from swarmhold.hardware.messages import (
    EVERYBODY,
    HealthTable,
    Mode,
    RobotState,
    SensorFrame,
    Task,
)
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.ramp import RAMP_S, Ramp
from swarmhold.hardware.runtime import OnnxPolicy, PolicyStep

DT = 0.05
TASK = Task(((0.9, 0.9, 1.0),), (0.0, 0.0, 0.0), 1.0)


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.5, 1.0)), st.floats(0.0, 3.0)), max_size=30))
def test_the_share_never_grows_faster_than_the_ramp(story):
    ramp, now = Ramp(), 0.0
    for limit, seconds in story:
        now, before = now + seconds, ramp.share
        ramp = ramp.step(limit, now)
        assert 0.0 <= ramp.share <= limit and ramp.share - before <= seconds / RAMP_S + 1e-9
    assert ramp.step(0.0, now).share == 0.0, "down at once"


class FullSpeed(OnnxPolicy):
    """Wants all it may, back and forth."""

    def act(self, seen, weights, hidden=None):
        mates = weights.shape[-1]
        self.sign = -getattr(self, "sign", 1.0)
        action = self.sign * np.asarray(self.bundle.spec.action_bound, np.float32)
        return PolicyStep(action, np.full(mates + 1, 1.0 / (mates + 1)), 1e-4, True)


class Robot:
    """One robot on a bench: it is told that it stands still in the middle."""

    def __init__(self, bundle, n=1):
        policy = FullSpeed(open_bundle(bundle))
        self.bound = np.asarray(policy.bundle.spec.action_bound)
        self.controller = RobotController(policy, TASK, ControllerConfig(0, n))
        self.now, self.seq = 100.0, 0

    def run(self, seconds, heard=None):
        """Commands of every tick as shares of the bound, and modes; `heard`: a teammate."""
        shares, modes = [], []
        for _ in range(round(seconds / DT)):
            if heard is not None:
                self.seq += 1
                seen = replace(heard, seq=self.seq, control_seq=self.seq, stamp=self.now)
                self.controller.on_state(seen, self.now)
            frame = SensorFrame(self.now, (0.0,) * 3, (0.0,) * 3, 0.0, 0.0, 1.0, (), (), ())
            command = self.controller.tick(frame, self.now).command
            shares.append(np.abs(np.asarray(command.action) / self.bound).max())
            modes.append(command.mode)
            self.now += DT
        return np.array(shares), modes


def ramped(shares):
    """Whether commands grow from rest along the ramp, and reach all that is wanted."""
    limit = np.minimum((np.arange(len(shares)) + 1) * DT / RAMP_S, 1.0)
    return (shares <= limit + 1e-6).all() and shares[-1] == pytest.approx(1.0)


def test_at_the_start_and_at_every_activation(rendezvous_bundle):
    robot = Robot(rendezvous_bundle)
    assert ramped(robot.run(1.5)[0])
    assert robot.run(1.0)[0].min() == pytest.approx(1.0), "then nothing is taken away"
    robot.controller.on_activate()
    assert ramped(robot.run(1.5)[0])


def test_after_a_silence_in_which_the_driver_held(rendezvous_bundle):
    robot = Robot(rendezvous_bundle)
    robot.run(2.0)
    robot.now += 0.1
    assert robot.run(0.1)[0].min() == pytest.approx(1.0), "two ticks late are no hold"
    robot.now += 0.5
    assert ramped(robot.run(1.5)[0])


def test_after_a_hold_for_want_of_teammates(rendezvous_bundle):
    robot = Robot(rendezvous_bundle, n=2)
    shares, modes = robot.run(ALONE_S + ASSEMBLE_S + 3.0)
    assert modes[-1] == Mode.HOLD and shares[-1] == 0.0
    place = (0.5, 0.0, 0.0)
    digest = robot.controller.policy.bundle.short_digest
    back = RobotState(
        1, EVERYBODY, 7, 0, 0, 0.0, place, (0.0,) * 3, 0.0, 0.0, 1.0, 0, digest, bytes(4)
    )
    shares, modes = robot.run(4.0, back)
    assert ramped(shares[modes.index(Mode.ACTIVE) :])


def test_a_stop_is_at_once(rendezvous_bundle):
    robot = Robot(rendezvous_bundle)
    robot.run(2.0)
    robot.controller.on_estop()
    assert (robot.run(1.0)[0] == 0.0).all()


def test_half_speed_while_a_common_cause_is_suspected(rendezvous_bundle):
    robot = Robot(rendezvous_bundle)
    robot.run(2.0)
    said = dict(stamp=0.0, term=1, issuer="s", lease_s=1.0, weights=(1.0,), states=(0,))
    table = HealthTable(seq=1, reasons=(int(Accusation.COMMON),), **said)
    robot.controller.on_table(table, robot.now)
    assert robot.run(0.5)[0].max() == pytest.approx(SLOW)
    robot.controller.on_table(HealthTable(seq=2, reasons=(0,), **said), robot.now)
    shares, _ = robot.run(1.0)
    assert np.diff(shares).max() <= DT / RAMP_S + 1e-6 and shares[-1] == pytest.approx(1.0)
    robot.controller.on_table(table, robot.now)
    assert robot.run(0.5)[0].max() == pytest.approx(1.0), "a table from before counts for nothing"
    later = HealthTable(seq=3, reasons=(int(Accusation.COMMON),), **said)
    robot.controller.on_table(later, robot.now)
    assert robot.run(2.5)[0][-1] == pytest.approx(1.0), "and none for longer than its lease"
