"""How many of the team's messages come in: counted where they are received, by their numbers."""

from __future__ import annotations

from swarmhold.hardware.messages import RobotState

_NONE = (0, -1)  # boot id and number of a sender that was never heard


class Delivery:
    """Counts of one receiver over all senders; plain integers, for every message passes here."""

    def __init__(self, senders: int) -> None:
        """Nothing came in yet from any of so many."""
        self._last = [_NONE] * senders
        self.heard = 0
        self.missed = 0

    def hear(self, sender: int, state: RobotState) -> None:
        """A message came in; numbers that were left out since the one before were missed."""
        boot, seq = self._last[sender]
        if state.boot_id == boot:
            if state.seq <= seq:
                return  # late, sent again, or to somebody else as well
            self.missed += state.seq - seq - 1
        self.heard += 1
        self._last[sender] = (state.boot_id, state.seq)
