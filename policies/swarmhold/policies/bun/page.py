"""Hidden goals as JSON, as CSV and as a page, all from the same runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarmhold.policies.bun.arms import ARMS, NOISES, Run, Study
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.publish import made, publish
from swarmhold.sim.bench.measure import machine

LABELS = {
    "block": "block diagonal only",
    "edge": "edge growth",
    "weight": "weight growth, as many weights",
    "dense": "dense",
}


def figures_of(run: Run) -> dict[str, Any]:
    """One training, plain values."""
    return {
        "arm": run.arm,
        "seed": run.seed,
        "start": run.start,
        **{f"distance_noise_{noise:g}": value for noise, value in run.distance.items()},
        "flop_share": run.cost.share,
        "density": run.cost.density,
        "edges_open": run.opened,
        "edges_found": run.found,
        "hears": run.hears,
        "seconds": run.seconds,
    }


def ratios_to_dense(runs: Sequence[Run], arm: str = "edge") -> list[float]:
    """Way that an arm makes good over the dense network's, seed by seed."""
    dense = {run.seed: run for run in runs if run.arm == "dense"}
    made = [run for run in runs if run.arm == arm]
    return [
        (run.start - run.distance[0.0]) / (run.start - dense[run.seed].distance[0.0])
        for run in made
    ]


def summary(runs: Sequence[Run], study: Study) -> dict[str, Any]:
    """For programs: of the edge arm the worst of its seeds, and every run."""
    edge = [run for run in runs if run.arm == "edge"]
    return {
        "robots": study.robots,
        "edges_found": min(run.found for run in edge),
        "edges_true": study.robots,
        "flop_share": max(run.cost.share for run in edge),
        "score_ratio_to_dense": min(ratios_to_dense(runs)),
        "of": "worst seed of the edge arm",
        "updates": study.updates,
        "runs": [figures_of(run) for run in runs],
        "machine": machine(),
        "commit": commit(),
    }


def table(runs: Sequence[Run]) -> list[str]:
    """Rows of a Markdown table: every arm, lowest to highest of its seeds."""
    shown = [f"noise {noise:g}" for noise in NOISES[1:]]
    head = ["", "final distance", *shown, "share of dense FLOPs", "necessary edges", "hears"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for arm in ARMS:
        mine = [run for run in runs if run.arm == arm]
        cells = [LABELS[arm], *(_range([run.distance[noise] for run in mine]) for noise in NOISES)]
        cells.append(_range([run.cost.share for run in mine]))
        cells.append(", ".join(f"{run.found}" for run in mine) + f" of {mine[0].cost.robots}")
        cells.append(_range([run.hears for run in mine], 2))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def markdown_of(runs: Sequence[Run], study: Study, made_by: str) -> str:
    """The page."""
    edge = [run for run in runs if run.arm == "edge"]
    cost, seeds = edge[0].cost, sorted({run.seed for run in edge})
    n = study.robots
    lines = [
        "# Hidden goals: who must be heard",
        "",
        f"{n} point robots, half width 1; everybody's goal is seen by another one alone, so that "
        f"{n} of {n * (n - 1)} directed edges are necessary. "
        f"Tanh MLPs of 24 and 24 units for each, {study.updates} updates through differentiable "
        f"motion, a budget of {study.budget} edges, {study.dropout:.0%} of the messages lost in "
        f"training and none in evaluation, seeds {', '.join(map(str, seeds))}: another task, other "
        "weights and other noise with each. Distances at the end of episodes in half widths "
        f"(at their start {_range([run.start for run in edge])}), lowest to highest of the seeds. "
        "FLOPs are counted multiply-accumulates of open weights; `hears` is how many of the others "
        "a robot depends on, through all layers.",
        "",
        *table(runs),
        "",
        f"With N = {cost.robots} and {cost.density:.1%} of the weights between robots open, the "
        f"edge arm has {cost.share:.1%} of the dense network's FLOPs; nothing between robots at "
        f"all would be {cost.within / (cost.within + cost.possible):.1%}. It makes good "
        f"{_range(ratios_to_dense(runs), 4)} times the way that the dense network makes good.",
        *made(
            made_by,
            f"bench bun --seeds {len(seeds)} --updates {study.updates} "
            f"--budget {study.budget} --out results",
            f", one used by each; {sum(run.seconds for run in runs) / 60:.1f} minutes of training",
        ),
    ]
    return "\n".join(lines)


def write(runs: Sequence[Run], study: Study, folder: Path) -> list[Path]:
    """Write page and CSV into a folder; returns their paths."""
    made_by = commit()
    rows = [list(figures_of(run).values()) for run in runs]
    head = list(figures_of(runs[0]))
    return publish(folder, "bun", markdown_of(runs, study, made_by), head, rows, made_by)


def _range(values: Sequence[float], digits: int = 3) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"
