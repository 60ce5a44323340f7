"""What the environment returns: observations, the truth beside them, and evidence for monitors."""

from __future__ import annotations

from dataclasses import dataclass

from swarmhold.hardware.sanity import Said
from swarmhold.hardware.surroundings import Landmarks
from swarmhold.hardware.types import Bool, Float, Int, Observation
from swarmhold.sim.scenarios.base import Outcome


@dataclass(frozen=True, slots=True)
class Evidence:
    """What every robot (axis 1) notices of every robot (axis 2); inputs of the monitors.

    Attributes:
        age: (E, N, N) s since the last message was received.
        claimed: (E, N, N, 3) m, claimed position, extrapolated to now.
        sensed: (E, N, N, 3) m, where own sensing sees it; NaN where it does not.
        corrupt: (E, N, N) last message held values that are not finite.
        deaf: (E, N) robots that receive and report nothing now.
        said: (E, N, N) the last message as it was.
    """

    age: Float
    claimed: Float
    sensed: Float
    corrupt: Bool
    deaf: Bool
    said: Said

    @property
    def fresh(self) -> Bool:
        """(E, N, N) a message arrived with this step."""
        return self.said.fresh


@dataclass(frozen=True, slots=True)
class Truth:
    """The world as it is; for critics, metrics and oracles, never for a robot.

    Attributes:
        position: (E, N, 3) m.
        velocity: (E, N, 3) m/s.
        yaw: (E, N) rad.
        present: (E, N) robots that are there now.
        healthy: (E, N) present and without a disabling fault.
        landmarks: of the episodes.
        touched: (E, N) in contact during the last step.
        charge: (E, N) of the batteries, in [0, 1].
        owners: (E, L) robot that alone sees the landmark, or -1.
    """

    position: Float
    velocity: Float
    yaw: Float
    present: Bool
    healthy: Bool
    landmarks: Landmarks
    touched: Bool
    charge: Float
    owners: Int


@dataclass(frozen=True, slots=True)
class Step:
    """What a reset or a step returns.

    Attributes:
        observation: tokens, leading dimensions (E, N).
        truth: see `Truth`.
        teammate_health: (E, N, N - 1) oracle weights: 0 for faulty or absent teammates.
        outcome: reward, score, error, success, each (E).
        done: (E) whether the episodes have ended (by time limit).
        time_s: (E) s since their start.
    """

    observation: Observation
    truth: Truth
    teammate_health: Float
    outcome: Outcome
    done: Bool
    time_s: Float
