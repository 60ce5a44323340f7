"""How to compute while learning: measured for moments on the real network, on this processor.

Float32, eager and one thread is what everything falls back to. Anything else must be clearly
faster here and now, and must point where float32 points.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from swarmhold.hardware.cli.config import note
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.mappo import PLAIN, Gradients, Mode

MODES = {
    mode.name: mode
    for mode in (
        PLAIN,
        Mode("bf16", bf16=True),
        Mode("f32 compiled", compiled=True),
        Mode("bf16 compiled", bf16=True, compiled=True),
    )
}
GAIN = 1.1  # times faster than float32, or it is not worth the difference
AGREE = 0.99  # cosine of the angle between the gradients
THREAD_GAIN = 1.3
LONG = 50  # iterations left from which compiling can pay for itself
ROUNDS = 3
Action = Callable[[], None]
Key = TypeVar("Key", Mode, int)


def candidates(config: TrainConfig, left: int) -> list[Mode]:
    """Modes that the configuration allows here, the safest first."""
    compiler = any(shutil.which(os.environ.get("CXX") or name) for name in ("c++", "g++"))
    compiled = config.compile and compiler
    if config.precision == "auto":
        found = [MODES["f32"], MODES["bf16"]]
        if compiled and left >= LONG:
            found += [MODES["f32 compiled"], MODES["bf16 compiled"]]
        return found
    return [MODES[config.precision + (" compiled" if compiled else "")]]


def choose_mode(config: TrainConfig, step: Gradients, left: int) -> Mode:
    """The fastest mode whose gradients agree with float32.

    Args:
        config: of the run; `precision` "auto" measures, others are taken as they are.
        step: gradient steps on a real batch.
        left: iterations that the run still has.
    """
    modes = candidates(config, left)
    if len(modes) == 1:
        return modes[0]
    steps = {mode: replace(step, mode=mode) for mode in modes}
    wanted = flat_gradient(steps[PLAIN])
    agree = {mode: agreement(wanted, flat_gradient(step)) for mode, step in steps.items()}
    spent = timed({mode: one_step(steps[mode]) for mode in modes}, time.process_time)
    choice = pick({mode: spent[PLAIN] / spent[mode] for mode in modes}, agree)
    told = ", ".join(
        f"{mode.name} {spent[PLAIN] / spent[mode]:.2f}x (cosine {agree[mode]:.4f})"
        for mode in modes
    )
    note(f"learning in {choice.name}; measured on this processor: {told}")
    return choice


def pick(gains: dict[Mode, float], agree: dict[Mode, float]) -> Mode:
    """The fastest one that is worth it and agrees, else float32."""
    good = [m for m in gains if gains[m] >= GAIN and agree[m] > AGREE]
    return max(good, key=lambda mode: gains[mode], default=PLAIN)


def choose_threads(action: Action, most: int | None = None) -> int:
    """Threads for torch; more than one only if clearly faster in wall time.

    Args:
        action: what to time.
        most: threads to try at most; all processors if None.
    """
    most = len(os.sched_getaffinity(0)) if most is None else most
    counts = [1, *(n for n in (2, 4, 8, 16, 32, 64) if n <= most)]

    def with_threads(count: int) -> Action:
        def run() -> None:
            torch.set_num_threads(count)
            action()

        return run

    try:
        spent = timed({n: with_threads(n) for n in counts}, time.perf_counter)
    finally:
        torch.set_num_threads(1)
    best = min(counts, key=lambda n: spent[n])
    choice = best if spent[1] >= THREAD_GAIN * spent[best] else 1
    told = ", ".join(f"{n}: {spent[1] / spent[n]:.2f}x" for n in counts)
    note(f"torch on {choice} thread{'s' * (choice > 1)}; measured: {told}")
    return choice


def timed(actions: dict[Key, Action], clock: Callable[[], float]) -> dict[Key, float]:
    """Median seconds of each action, in turns, after one turn that warms up."""
    spent: dict[Key, list[float]] = {key: [] for key in actions}
    for number in range(-1, ROUNDS):
        for key, action in actions.items():
            started = clock()
            action()
            if number >= 0:
                spent[key].append(clock() - started)
    return {key: max(float(np.median(values)), 1e-9) for key, values in spent.items()}


def one_step(step: Gradients) -> Action:
    """The gradients of one minibatch, thrown away."""
    pairs = _pairs(step)

    def run() -> None:
        step(pairs)
        forget(step)

    return run


def flat_gradient(step: Gradients) -> torch.Tensor:
    """Gradient of one minibatch, all parameters in one row."""
    forget(step)
    step(_pairs(step))
    parts = [
        torch.zeros_like(p) if p.grad is None else p.grad
        for module in (step.actor, step.critic)
        for p in module.parameters()
    ]
    found = torch.cat([part.flatten().clone() for part in parts])
    forget(step)
    return found


def agreement(one: torch.Tensor, two: torch.Tensor) -> float:
    """Cosine of the angle between two gradients; -1 if either is not finite."""
    if not (one.isfinite().all() and two.isfinite().all()):
        return -1.0
    return float(torch.cosine_similarity(one.double(), two.double(), dim=0))


def forget(step: Gradients) -> None:
    """Drop the gradients."""
    step.actor.zero_grad(set_to_none=True)
    step.critic.zero_grad(set_to_none=True)


def _pairs(step: Gradients) -> np.ndarray:
    """The first minibatch of a fixed order."""
    size = max(1, step.config.minibatch // step.samples.numbers.shape[1])
    return np.random.default_rng(0).permutation(step.pairs)[:size]
