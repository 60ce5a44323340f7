"""Where pictures and happenings come together: what was, what is, and who waits for more."""

from __future__ import annotations

import json
import threading
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from swarmhold.hardware.console.picture import Picture

KEPT_S = 600.0  # of a team that is live; a recording is kept whole
MOST_HAPPENINGS = 5000
_LOOPS = ("period_ms", "inference_ms", "heartbeat_ms")


class Hub:
    """Thread-safe. Pictures are kept compressed, about 1 kB each for eight robots."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        """Args: s of pictures to keep; infinity: all."""
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._times: deque[float] = deque()
        self._pictures: deque[bytes] = deque()
        self._marks: deque[tuple[Any, ...]] = deque()  # places and loop times
        self._happenings: deque[dict[str, Any]] = deque(maxlen=MOST_HAPPENINGS)
        self._numbered = 0
        self._latest: str | None = None
        self._last: Picture | None = None
        self._wake: dict[int, Callable[[], None]] = {}

    def show(self, picture: Picture) -> None:
        """A new picture, later than all before."""
        text = json.dumps(picture, separators=(",", ":"))
        places = [card["place"][:2] if card["place"] else None for card in picture["robots"]]
        loops = [picture["loops"][name] for name in _LOOPS]
        with self._lock:
            if self._times and picture["t"] < self._times[-1]:
                return  # the clock was set back
            self._times.append(picture["t"])
            self._pictures.append(zlib.compress(text.encode(), 1))
            self._marks.append((places, loops))
            self._latest, self._last = text, picture
            while self._times[-1] - self._times[0] > self._kept_s:
                for kept in (self._times, self._pictures, self._marks):
                    kept.popleft()
        self._call()

    def happened(self, entry: Mapping[str, Any]) -> None:
        """One more entry of the time line; it gets its number here."""
        with self._lock:
            self._numbered += 1
            self._happenings.append({**entry, "id": self._numbered})
        self._call()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake`, from any thread, when there is news; returns what ends that."""
        with self._lock:
            number = max(self._wake, default=0) + 1
            self._wake[number] = wake

        def leave() -> None:
            with self._lock:
                self._wake.pop(number, None)

        return leave

    @property
    def listeners(self) -> int:
        """Who listens."""
        return len(self._wake)

    def _call(self) -> None:
        with self._lock:
            waiting = list(self._wake.values())
        for wake in waiting:
            wake()

    @property
    def latest(self) -> str | None:
        """The last picture, as JSON."""
        return self._latest

    @property
    def last(self) -> Picture | None:
        """The last picture."""
        return self._last

    @property
    def span(self) -> tuple[float, float] | None:
        """Wall-clock times (s) of the first and last picture that are kept."""
        with self._lock:
            return (self._times[0], self._times[-1]) if self._times else None

    def at(self, t: float) -> str | None:
        """The picture at a time (s): the last one that is not later, or the first there is."""
        with self._lock:
            index = max(bisect_right(self._times, t) - 1, 0)
            return zlib.decompress(self._pictures[index]).decode() if self._times else None

    def following(self, t: float) -> tuple[float, str] | None:
        """Time and picture of the first one later than a time (s); None: there is none yet."""
        with self._lock:
            index = bisect_right(self._times, t)
            if index >= len(self._times):
                return None
            return self._times[index], zlib.decompress(self._pictures[index]).decode()

    def recent(self, t: float, seconds: float) -> dict[str, Any]:
        """Places and loop times of so many seconds until a time: trails and sparklines."""
        with self._lock:
            first, end = bisect_right(self._times, t - seconds), bisect_right(self._times, t)
            marks = [self._marks[index] for index in range(first, end)]
            times = [self._times[index] for index in range(first, end)]
        return {
            "t": times,
            "places": [places for places, _ in marks],
            "loops": {name: [loops[i] for _, loops in marks] for i, name in enumerate(_LOOPS)},
        }

    def happenings(self, after: int = 0, until: float = float("inf")) -> list[dict[str, Any]]:
        """Entries with a number above `after`, not later than a time (s)."""
        with self._lock:
            return [e for e in self._happenings if e["id"] > after and e["t"] <= until]
