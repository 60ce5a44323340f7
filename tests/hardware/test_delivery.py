"""What came in and what did not, by the numbers of the messages."""

from dataclasses import replace

from swarmhold.hardware.delivery import Delivery
from swarmhold.hardware.messages import EVERYBODY, RobotState

SAID = RobotState(1, EVERYBODY, 5, 10, 10, 0.0, (0.0,) * 3, (0.0,) * 3, 0.0, 0.0, 1.0, 0, 0, b"")


def test_gaps_are_missed_and_repeats_are_not_heard_twice():
    counts = Delivery(3)
    for seq in (10, 11, 11, 14, 13, 15):
        counts.hear(1, replace(SAID, seq=seq))
    assert (counts.heard, counts.missed) == (4, 2)
    counts.hear(2, replace(SAID, robot=2, seq=900))
    assert (counts.heard, counts.missed) == (5, 2), "what was sent before is not missed"
    counts.hear(1, replace(SAID, boot_id=6, seq=1))
    assert (counts.heard, counts.missed) == (6, 2), "nor what was lost in a reboot"
