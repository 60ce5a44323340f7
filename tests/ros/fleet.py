"""Helpers for tests on real processes: waiting without sleeping, and finding orphans."""

import os
import time
from pathlib import Path

from swarmhold.hardware.fleet.domain import choose_domain


def wait_for(condition, seconds=20.0, step=0.05):
    """Poll until the condition holds; returns whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(step)
    return bool(condition())


def states(fleet):
    """What the supervisor said last, by robot."""
    return fleet.live.table.get("states", [])


def orphans(marker, program=b"swarmhold_nodes"):
    """Pids of nodes whose command line or environment (which names the run folder) has it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
                known = line + (entry / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in known and program in line:
                found.append(int(entry.name))
    return found


def free_domain():
    """A ROS domain that nobody uses now."""
    found = choose_domain(None)
    found.free()
    return found.number
