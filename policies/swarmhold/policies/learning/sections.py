"""What the logs of the trainings say: how fast they learned, and where attention went."""

from __future__ import annotations

import json

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.policies.learning.results import Results

WINDOW = 9  # iterations that a success rate is averaged over
END = 0.2  # share of a training, its end, that counts as final
REACHED = 0.8  # of the final success


def on_progress(results: Results) -> list[str]:
    """Episodes until 80 % of the final success, and what the memory and the batches held."""
    lines = [
        "",
        f"## Learning: until {REACHED:.0%} of the final success",
        "",
        "Success is that of training episodes, with faults and exploration noise. Shares are of "
        "transitions with a faulty robot, in the memory and in the critic's batches.",
        "",
        "| | final success, per seed | episodes until then, per seed | fault share, memory | "
        "fault share, batch |",
        "|---|---|---|---|---|",
    ]
    for pair in results.table.scenarios:
        for row in results.table.rows:
            runs = results.runs(pair, row)
            logs = [results.log(run) for run in runs]
            told = [reached(np.array([line["success"] for line in log])) for log in logs]
            teams = [json.loads((run / "config.json").read_text())["teams"] for run in runs]
            final = ", ".join(f"{success:.2f}" for success, _ in told)
            when = ", ".join(
                "never" if at is None else f"{at * count:,}"
                for (_, at), count in zip(told, teams, strict=True)
            )
            shares = (_mean(logs, name) for name in ("fault_share_memory", "fault_share"))
            lines.append(f"| {row.label} | {final} | {when} | " + " | ".join(shares) + " |")
    return lines


def reached(success: Float) -> tuple[float, int | None]:
    """Final success, and the iteration at which the average first reaches its 80 %.

    Args:
        success: (K) of the iterations.

    Returns:
        Mean of the last fifth; number of iterations, or None where nothing was ever solved.
    """
    final = float(success[-max(1, round(END * len(success))) :].mean())
    if final <= 0.0:
        return final, None
    window = min(WINDOW, len(success))
    smooth = np.convolve(success, np.ones(window) / window, mode="valid")
    there = np.flatnonzero(smooth >= REACHED * final)
    return final, int(there[0]) + window if len(there) else None


def on_attention(results: Results) -> list[str]:
    """Attention that a robot pays to a teammate before and after it fails; A5 of the notes."""
    lines = [
        "",
        "## Attention to a teammate, before and after it fails",
        "",
        "Mean over the last fifth of the training, 1 is an equal share.",
        "",
        "| | before | after |",
        "|---|---|---|",
    ]
    for pair in results.table.scenarios:
        for row in results.table.rows:
            logs = [results.log(run) for run in results.runs(pair, row)]
            ends = [log[-max(1, round(END * len(log))) :] for log in logs]
            names = ("attention_before_fault", "attention_after_fault")
            if any(line.get(names[0], 0.0) for end in ends for line in end):
                shares = " | ".join(_mean(ends, name) for name in names)
                lines.append(f"| {row.label} | {shares} |")
    return lines


def _mean(logs: list[list[dict[str, float]]], name: str) -> str:
    values = [line[name] for log in logs for line in log if name in line]
    return f"{np.mean(values):.3f}" if values else ""


def on_time(results: Results) -> list[str]:
    """Wall time from random weights until a scenario counts as solved, in training episodes."""
    lines = [
        "",
        "## Time to solve it, from random weights",
        "",
        "Seconds of one process until the figure of the training episodes, with faults and "
        "exploration, first reaches the bar; each seed. Episodes that the heuristic helps to drive "
        "do not count, the time that they take does.",
        "",
        "| scenario | bar | | seconds |",
        "|---|---|---|---|",
    ]
    for pair in results.table.scenarios:
        name, least = results.table.solved[pair[0]]
        for row in results.table.rows:
            logs = [results.log(run, warm=True) for run in results.runs(pair, row)]
            told = ", ".join(seconds_until(log, name, least) for log in logs)
            lines.append(f"| {pair[0]} | {name} {least:g} | {row.label} | {told} |")
    return lines


def seconds_until(log: list[dict[str, float]], name: str, least: float) -> str:
    """Seconds of iterations until the policy alone reaches the least value of a figure."""
    spent = 0.0
    for line in log:
        spent += line["seconds"]
        if line.get(name, -np.inf) >= least and line.get("heuristic_share", 0.0) == 0.0:
            return f"{spent:.0f}"
    return f"not in {spent:.0f}"
