"""The emergency stop: how a robot confirms it when nothing else runs any more."""

from __future__ import annotations

from dataclasses import replace

from swarmhold.hardware.messages import EVERYBODY, Mode, RobotState

_UNKNOWN = (float("nan"),) * 3


def stopped_state(last: RobotState | None, robot: int, boot_id: int, bundle: int) -> RobotState:
    """State message of a stopped robot that has no sensor frame to answer.

    Its control counter stands still, as control does; where it is, it says as it knew last.

    Args:
        last: message that it sent before; None: none yet.
        robot: roster index.
        boot_id: of the process.
        bundle: first eight bytes of the bundle's digest.
    """
    if last is not None:
        return replace(last, seq=last.seq + 1, mode=int(Mode.STOP))
    nan = float("nan")
    return RobotState(
        robot, EVERYBODY, boot_id, 1, 0, 0.0, _UNKNOWN, _UNKNOWN, nan, nan, nan,
        int(Mode.STOP), bundle, b"",
    )  # fmt: skip
