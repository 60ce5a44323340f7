"""A cable between network namespaces that can be cut, slow, lossy and out of order.

A kernel may have no `netem`, so the cable is a process of its own: it makes the namespaces, opens
one TAP device in each and passes Ethernet frames between them. Nothing of it has a name, so that
all is gone with the last process, however that ends. Commands are JSON lines on standard input,
each answered by one on standard output: how many frames and bytes have passed so far.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.faults import BEHIND_S
from swarmhold.hardware.injection.spells import Spells

DEVICE = "cable"  # name of the interface in every namespace
LARGEST = 2048  # bytes of a frame
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
        bursts: share that is lost in bad spells, which come and go.
        reorder: share that is kept back, so that later ones overtake it.
    """

    cut: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    drop: float = 0.0
    bursts: float = 0.0
    reorder: float = 0.0


@dataclass
class Line:
    """One direction between two hosts: its trouble, its dice, what has passed."""

    dice: np.random.Generator
    trouble: Trouble = Trouble()
    frames: int = 0
    bytes: int = 0
    multicast: int = 0
    lost: int = 0
    _last: float = 0.0
    _spells: Spells = field(default_factory=Spells)

    def due(self, now: float) -> float | None:
        """When a frame sent now arrives, s; None: never."""
        trouble = self.trouble
        burst = trouble.bursts > 0.0 and self._spells.lose(trouble.bursts, self.dice, now)
        if trouble.cut or burst or self.dice.random() < trouble.drop:
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

    def __post_init__(self) -> None:
        pairs = [(a, b) for a in range(self.hosts) for b in range(self.hosts) if a != b]
        self.lines = {pair: Line(np.random.default_rng([self.seed, *pair])) for pair in pairs}

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


def open_host(address: str) -> tuple[int, int]:
    """A network namespace of its own, which this process is in from now on, with a TAP device.

    Args:
        address: IPv4, of the device.

    Returns:
        Descriptors of both; they are gone when these are closed, and nobody is in there any more.

    Raises:
        OSError: the kernel refuses, or `ip` does.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespaces here")
    space = os.open("/proc/self/ns/net", os.O_RDONLY)
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH", DEVICE.encode(), _IFF_TAP | _IFF_NO_PI))
    for words in (
        ("addr", "add", f"{address}/24", "dev", DEVICE),
        ("link", "set", DEVICE, "addrgenmode", "none"),
        *(("link", "set", device, "up") for device in ("lo", DEVICE)),
    ):
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(0, f"ip {' '.join(words)}: {done.stderr.strip()}")
    return space, tap


def serve(addresses: list[str], seed: int) -> None:
    """Pass frames between hosts of such addresses until standard input ends."""
    try:
        spaces, taps = zip(*map(open_host, addresses), strict=True)
    except OSError as error:
        print(json.dumps({"event": "failed", "reason": error.strerror}), flush=True)
        return
    paths = [f"/proc/{os.getpid()}/fd/{space}" for space in spaces]
    print(json.dumps({"event": "ready", "namespaces": paths}), flush=True)
    switch = Switch(len(taps), seed)
    poll = select.poll()
    for descriptor in (0, *taps):
        poll.register(descriptor, select.POLLIN)
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
    for source, target, trouble in command.get("troubles", []):
        switch.lines[source, target].trouble = Trouble(**trouble)
    counted = ("frames", "bytes", "multicast", "lost")
    passed = [
        [*pair, {name: getattr(line, name) for name in counted}]
        for pair, line in switch.lines.items()
    ]
    print(json.dumps({"event": "passed", "lines": passed}), flush=True)
    return True


if __name__ == "__main__":
    serve(sys.argv[2:], int(sys.argv[1]))
