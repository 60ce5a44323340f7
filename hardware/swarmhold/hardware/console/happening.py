"""What happened, in words, for the time line: truth, doubt, verdict, action, return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from swarmhold.hardware.messages import HealthTable, Mode, RobotState

Kind = Literal["fault", "refused", "state", "weight", "mode", "boot", "team", "estop", "command"]
LONGEST_S = 1e5  # a fault that lasts longer has no end
REPEAT_S = 1.0  # a stop that is said again within this is the same stop
TAKEN_OUT, BACK_IN = 0.5, 0.9  # mean weights at which an action is noted


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry.

    Attributes:
        t: s, wall clock.
        kind: "fault" is the injector's truth; "refused", that it was an order which nobody obeyed;
            "state" the verdict, "weight" what the team does about it; the rest concerns what robots
            and people do.
        robot: roster index; None: the team.
        value: the new state, fault kind, mode, ...
        text: for people.
        until: s, wall clock, end of a fault; None: open.
    """

    t: float
    kind: Kind
    robot: int | None
    value: str
    text: str
    until: float | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Happenings:
    """Notes what changes from message to message."""

    def __init__(self, wall_s: float) -> None:
        """Args: wall-clock time (s) at the zero of the listener's clock."""
        self._wall_s = wall_s
        self._new: list[Happening] = []
        self._words: dict[int, str] = {}
        self._ill: set[int] = set()  # at some time; who has never been is not "back"
        self._out: set[int] = set()
        self._stopped_at = -float("inf")

    def take(self) -> list[Happening]:
        """All that is new; empties it."""
        new, self._new = self._new, []
        return new

    def _note(
        self,
        now: float,
        kind: Kind,
        robot: int | None,
        value: str,
        text: str,
        lasts_s: float | None = None,
    ) -> None:
        t = round(now + self._wall_s, 3)
        until = None if lasts_s is None or lasts_s > LONGEST_S else round(t + lasts_s, 3)
        self._new.append(Happening(t, kind, robot, value, text, until))

    def state(self, robot: int, before: RobotState | None, state: RobotState, now: float) -> None:
        """A robot spoke: it may have started anew, or changed what it does."""
        if before is not None and before.boot_id != state.boot_id:
            self._note(now, "boot", robot, "boot", f"robot {robot} has started anew")
        if before is None or before.mode == state.mode:
            return
        word = Mode(state.mode).name if state.mode in list(Mode) else str(state.mode)
        self._note(now, "mode", robot, word, f"robot {robot}: mode {word}")

    def table(self, before: HealthTable | None, table: HealthTable, now: float) -> None:
        """The supervisor spoke: another one may have taken over."""
        if before is None or before.term != table.term or before.issuer != table.issuer:
            text = f"{table.issuer} speaks, term {table.term}"
            self._note(now, "team", None, table.issuer, text)

    def fault(self, kind: str, robot: int, lasts_s: float, now: float) -> None:
        """A fault was injected: the truth that no detector sees."""
        ended = f"{kind} of robot {robot} has ended"
        text = f"{kind} injected into robot {robot}" if lasts_s > 0.0 else ended
        self._note(now, "fault", robot, kind, text, lasts_s)

    def refused(self, kind: str, robot: int, now: float) -> None:
        """An order to break a robot was obeyed by nobody."""
        self._note(now, "refused", robot, kind, f"{kind} refused by robot {robot}: nothing is done")

    def stop(self, now: float) -> None:
        """Somebody said stop; it is said again and again."""
        if now - self._stopped_at > REPEAT_S:
            self._note(now, "estop", None, "stop", "emergency stop was given")
        self._stopped_at = now

    def cards(self, cards: Sequence[Mapping[str, Any]], now: float) -> None:
        """The state words and trust that are about to be shown."""
        for card in cards:
            robot, word, trust = card["id"], card["state"], card["trust"]
            if self._words.get(robot, word) != word and (word != "HEALTHY" or robot in self._ill):
                why = ", ".join(card["reasons"]).lower()
                text = f"robot {robot}: {word}" + (f" ({why})" if why else "")
                self._note(now, "state", robot, word, text)
            if word not in ("HEALTHY", "ABSENT"):
                self._ill.add(robot)
            self._words[robot] = word
            if trust is None:
                continue
            if trust < TAKEN_OUT and robot not in self._out:
                self._out.add(robot)
                self._note(now, "weight", robot, "out", f"the team leaves robot {robot} out")
            elif trust >= BACK_IN and robot in self._out:
                self._out.discard(robot)
                self._note(now, "weight", robot, "in", f"robot {robot} is back in the team")
