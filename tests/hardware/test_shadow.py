"""A bundle that looks on: what it would have done is counted, and nothing of it is felt."""

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.errors import SpecMismatchError
from swarmhold.hardware.messages import SensorFrame, Task
from swarmhold.hardware.runtime import OnnxPolicy, PolicyStep
from swarmhold.hardware.shadow import BINS, Shadow, check_shadow

TASK = Task(((0.5, 0.5, 1.0),), (0.0, 0.0, 0.0), 1.0)


class Strange(OnnxPolicy):
    """Answers as it is told to."""

    def __init__(self, bundle, answer):
        super().__init__(bundle)
        self.answer = answer

    def act(self, seen, weights, hidden=None):
        step = super().act(seen, weights, hidden)
        return self.answer(step)


@pytest.fixture(scope="module")
def flown(rendezvous_bundle):
    return OnnxPolicy(open_bundle(rendezvous_bundle))


def fly(flown, shadow, ticks=80):
    """Commands of a robot with a shadow, and the reasons it gave to be asked no more."""
    robot, commands, reasons = RobotController(flown, TASK, ControllerConfig(0, 1)), [], []
    for tick in range(ticks):
        now = 10.0 + 0.05 * tick
        place = (0.3 * np.sin(now), 0.2, 0.0)
        frame = SensorFrame(now, place, (0.0,) * 3, 0.0, 0.0, 1.0, (), (), ())
        commands.append(robot.tick(frame, now).command)
        if shadow is not None:
            reason = shadow.look(robot.decision, True)
            reasons += [reason] if reason else []
    return commands, reasons


def test_the_same_bundle_does_not_differ_from_itself(flown, rendezvous_bundle):
    shadow = Shadow(OnnxPolicy(open_bundle(rendezvous_bundle)))
    commands, reasons = fly(flown, shadow)
    assert reasons == [] and commands == fly(flown, None)[0]
    assert shadow.found.decisions == 40, "one for each decision, not for each tick"
    assert shadow.found.most < 1e-5 and shadow.found.inference_s > 0.0
    assert shadow.found.p95 == 1 / BINS, "the upper end of the first bin"


def test_another_bundle_differs_and_is_never_obeyed(flown, coverage_bundle):
    shadow = Shadow(OnnxPolicy(open_bundle(coverage_bundle)))
    commands, reasons = fly(flown, shadow)
    assert reasons == [] and commands == fly(flown, None)[0]
    assert 0.05 < shadow.found.mean <= shadow.found.most <= 2.0


def turned(step):
    return PolicyStep(-step.action, step.attention, step.inference_s, True)


def test_the_percentile_is_that_of_the_differences(flown, rendezvous_bundle):
    bundle = open_bundle(rendezvous_bundle)
    shadow, away = Shadow(Strange(bundle, turned)), []
    robot = RobotController(flown, TASK, ControllerConfig(0, 1))
    for tick in range(80):
        now = 10.0 + 0.05 * tick
        place = (0.3 * np.sin(now), 0.2, 0.0)
        robot.tick(SensorFrame(now, place, (0.0,) * 3, 0.0, 0.0, 1.0, (), (), ()), now)
        shadow.look(robot.decision, True)
        away.append(np.abs(robot.decision.action / bundle.spec.action_bound).mean())
    assert 0.0 <= shadow.found.p95 - np.percentile(away[::2], 95.0) < 3.0 / BINS


def not_finite(step):
    return PolicyStep(0.0 * step.action, step.attention, step.inference_s, False)


def slow(step):
    return PolicyStep(step.action, step.attention, 0.03, True)


def failing(step):
    raise RuntimeError("no such node\nin the graph")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(not_finite, "not finite"), (slow, "cost the robot deadlines"), (failing, "no such node in")],
)
def test_one_that_goes_wrong_is_said_once_and_asked_no_more(
    flown, rendezvous_bundle, answer, reason
):
    shadow = Shadow(Strange(open_bundle(rendezvous_bundle), answer))
    commands, reasons = fly(flown, shadow)
    assert commands == fly(flown, None)[0]
    assert len(reasons) == 1 and reason in reasons[0] and "\n" not in reasons[0]
    assert shadow.found.problem == reasons[0]


def test_a_robot_that_holds_is_not_counted(flown, rendezvous_bundle):
    shadow = Shadow(OnnxPolicy(open_bundle(rendezvous_bundle)))
    robot = RobotController(flown, TASK, ControllerConfig(0, 1))
    frame = SensorFrame(1.0, (0.1, 0.1, 0.0), (0.0,) * 3, 0.0, 0.0, 1.0, (), (), ())
    robot.tick(frame, 1.0)
    assert shadow.look(robot.decision, False) == "" and shadow.found.decisions == 0


def test_a_shadow_of_another_robot_class_is_refused(root, rendezvous_bundle):
    other = open_bundle(root / "export/swarmhold/export/bundles/coverage-crazyflie")
    with pytest.raises(SpecMismatchError, match="only a bundle of the same robot class"):
        check_shadow(open_bundle(rendezvous_bundle), other, "coverage-crazyflie")
