"""What an emulated robot is: a protocol core between datagrams and the body it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from swarmhold.hardware.types import Float


@dataclass(frozen=True, slots=True)
class Body:
    """What a robot's own estimator knows of it.

    Attributes:
        position: (3) m, world ENU.
        velocity: (3) m/s, world ENU.
        attitude: (4) quaternion x, y, z, w, body to world.
        yaw: rad.
        spin: (3) rad/s, world.
        up: cosine of the tilt; below 0 it is upside down.
        battery: 0 to 1.
    """

    position: Float
    velocity: Float
    attitude: Float
    yaw: float
    spin: Float
    up: float
    battery: float


@dataclass(frozen=True, slots=True)
class Steer:
    """What the on-board controller follows.

    Attributes:
        velocity: (2) m/s, yaw frame.
        height: m.
        powered: whether the motors turn.
    """

    velocity: tuple[float, float]
    height: float
    powered: bool


OFF = Steer((0.0, 0.0), 0.0, False)


class Vehicle(Protocol):
    """One emulated robot; pure, time comes in as an argument."""

    def address(self, host: str, port: int) -> str:
        """Under which a driver finds it, as KIND:ADDRESS.

        Args:
            host: where it is emulated.
            port: UDP port that it is bound to.
        """

    def hear(self, datagram: bytes, body: Body, now: float) -> list[bytes]:
        """A datagram has come in at `now` (s, monotonic); returns the answers."""

    def speak(self, body: Body, now: float) -> list[bytes]:
        """What it sends on its own, as far as it is due."""

    def steer(self, body: Body, now: float) -> Steer:
        """What it does; called in every tick."""

    def orders(self) -> list[tuple[str, float, float, int]]:
        """Faults that were ordered over the link: kind, severity, duration (s), seed; once each.

        A duration of 0 ends those of the kind.
        """
