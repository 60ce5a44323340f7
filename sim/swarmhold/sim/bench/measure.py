"""Interleaved rounds: every subject runs in every round, and only ratios within a round count.

The unit is steps per CPU-second of the process that measures (threads included), because other
work on the same cores changes wall time at once and CPU time hardly.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Round = Callable[[], tuple[float, float]]  # -> (steps, CPU seconds)
Say = Callable[[str], None]


def repeat(action: Callable[[], Any], steps: float, seconds: float) -> Round:
    """A round that calls `action`, worth `steps`, for so many CPU-seconds."""

    def run() -> tuple[float, float]:
        done, started = 0.0, time.process_time()
        while (spent := time.process_time() - started) < seconds:
            action()
            done += steps
        return done, spent

    return run


def interleave(subjects: Mapping[str, Round], rounds: int, say: Say) -> dict[str, list[float]]:
    """Rates of all subjects, round by round.

    Args:
        subjects: what runs, by name; each is warmed up by one round that does not count.
        rounds: at least one.
        say: told after each round.

    Returns:
        Steps per CPU-second, one per round.
    """
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(-1, rounds):
        for name, run in subjects.items():
            steps, spent = run()
            if number >= 0:
                rates[name].append(steps / max(spent, 1e-9))
        if number >= 0:
            say(f"round {number + 1} of {rounds}")
    return rates


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratio(rates: Mapping[str, list[float]], ours: str, theirs: str) -> dict[str, float]:
    """Ratio of two subjects, taken within each round."""
    pairs = zip(rates[ours], rates[theirs], strict=True)
    return spread([mine / other for mine, other in pairs])


def ratios_of(
    rates: Mapping[str, list[float]], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """`ratios` (medians) and `ratio_spread` of the pairs of subjects that both ran, by name."""
    found = {
        name: ratio(rates, *pair)
        for name, pair in pairs.items()
        if all(part in rates for part in pair)
    }
    medians = {name: round(value["median"], 2) for name, value in found.items()}
    return {"ratios": medians, "ratio_spread": found}


def machine() -> dict[str, Any]:
    """What it was measured on: processor, its relevant flags, and versions."""
    found: dict[str, Any] = {"python": platform.python_version(), "numpy": np.__version__}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {**found, "processor": platform.processor()}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    lines = {name.strip(): value.strip() for name, value in pairs}
    flags = set(lines.get("flags", "").split())
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        **found,
        "processor": lines.get("model name", "unknown"),
        "cores": text.count("processor\t"),
        "flags": [flag for flag in wanted if flag in flags],
    }
