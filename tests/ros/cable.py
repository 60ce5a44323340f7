"""A cable between network namespaces that can be cut, slow, lossy and out of order.

This kernel may have no `netem`, so the cable is a process of its own: it opens one TAP device in
every namespace and passes Ethernet frames between them. Commands are JSON lines on standard input,
each answered by one on standard output: how many frames and bytes have passed so far.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass, field

DEVICE = "cable"  # name of the interface in every namespace
LARGEST = 2048  # bytes of a frame
BEHIND_S = 0.03  # how long a frame out of order is kept back
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_CLONE_NEWNET = 0x40000000
_ETHERNET = 14  # bytes of header, which no radio budget counts
_MULTICAST = b"\x01\x00\x5e"  # first bytes of addresses that IPv4 multicast is sent to


@dataclass(frozen=True)
class Trouble:
    """What one direction of a cable does to frames.

    Attributes:
        cut: nothing passes.
        delay_s: every frame comes later by this.
        jitter_s: and by up to this more, in order.
        drop: share that is lost.
        reorder: share that is kept back, so that later ones overtake it.
    """

    cut: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0


@dataclass
class Line:
    """One direction between two hosts: its trouble, its dice, what has passed."""

    dice: random.Random
    trouble: Trouble = Trouble()
    frames: int = 0
    bytes: int = 0
    multicast: int = 0
    lost: int = 0
    _last: float = 0.0

    def due(self, now: float) -> float | None:
        """When a frame sent now arrives, s; None: never."""
        trouble = self.trouble
        if trouble.cut or self.dice.random() < trouble.drop:
            self.lost += 1
            return None
        at = now + trouble.delay_s + self.dice.uniform(0.0, trouble.jitter_s)
        if self.dice.random() < trouble.reorder:
            return at + BEHIND_S
        self._last = max(self._last, at)
        return self._last


@dataclass
class Switch:
    """Who is where, and what is under way; knows nothing of devices.

    Attributes:
        hosts: how many.
        seed: of all dice.
    """

    hosts: int
    seed: int = 0
    lines: dict[tuple[int, int], Line] = field(init=False)
    _where: dict[bytes, int] = field(default_factory=dict)
    _under_way: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self):
        pairs = [(a, b) for a in range(self.hosts) for b in range(self.hosts) if a != b]
        self.lines = {pair: Line(random.Random(f"{self.seed}/{pair}")) for pair in pairs}

    def send(self, source: int, frame: bytes, now: float) -> None:
        """A host sends a frame: to whom it is for, or to all."""
        to, sender = frame[:6], frame[6:12]
        self._where[sender] = source
        known = self._where.get(to)
        targets = [h for h in range(self.hosts) if h != source] if known is None else [known]
        for target in targets:
            if target == source:
                continue
            line = self.lines[source, target]
            at = line.due(now)
            if at is not None:
                line.frames += 1
                line.bytes += len(frame) - _ETHERNET
                line.multicast += to.startswith(_MULTICAST)
                self._count += 1
                heapq.heappush(self._under_way, (at, self._count, target, frame))

    def arrivals(self, now: float) -> list[tuple[int, bytes]]:
        """What has arrived by now, with its host."""
        out = []
        while self._under_way and self._under_way[0][0] <= now:
            _, _, target, frame = heapq.heappop(self._under_way)
            out.append((target, frame))
        return out

    def wait(self, now: float) -> float | None:
        """Seconds until something arrives; None: nothing is under way."""
        return max(0.0, self._under_way[0][0] - now) if self._under_way else None


def open_tap(namespace: str) -> int:
    """A TAP device in a namespace; it is gone when the descriptor is closed."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as entry:
        if libc.setns(entry.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter network namespace {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", DEVICE.encode(), _IFF_TAP | _IFF_NO_PI))
    return device


def serve(namespaces: list[str], seed: int) -> None:
    """Pass frames until standard input ends."""
    taps = [open_tap(name) for name in namespaces]
    switch = Switch(len(taps), seed)
    poll = select.poll()
    for descriptor in (0, *taps):
        poll.register(descriptor, select.POLLIN)
    print(json.dumps({"event": "ready"}), flush=True)
    while True:
        left = switch.wait(time.monotonic())
        for descriptor, _ in poll.poll(None if left is None else 1000 * left):
            if descriptor != 0:
                _take(switch, taps.index(descriptor), descriptor)
            elif not _obey(switch):
                return
        for target, frame in switch.arrivals(time.monotonic()):
            with contextlib.suppress(OSError):  # its interface is down, its queue full: lost
                os.write(taps[target], frame)


def _take(switch: Switch, source: int, tap: int) -> None:
    while True:
        try:
            frame = os.read(tap, LARGEST)
        except OSError:
            return  # no more for now, or its interface is not up yet
        switch.send(source, frame, time.monotonic())


def _obey(switch: Switch) -> bool:
    """One command; false at the end of the input."""
    line = sys.stdin.readline()
    if not line:
        return False
    command = json.loads(line)
    for source, target in command.get("lines", []):
        switch.lines[source, target].trouble = Trouble(**command["trouble"])
    counted = ("frames", "bytes", "multicast", "lost")
    passed = [
        [*pair, {name: getattr(line, name) for name in counted}]
        for pair, line in switch.lines.items()
    ]
    print(json.dumps({"event": "passed", "lines": passed}), flush=True)
    return True


if __name__ == "__main__":
    serve(sys.argv[2:], int(sys.argv[1]))
