"""Navigation with block-diagonal, edge-grown and dense joint networks: training, table and page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swarmhold.policies.bun.arms import stream, train
from swarmhold.policies.bun.cost import Cost, cost_of
from swarmhold.policies.bun.growth import EdgeGrowth, GrowthRule, NoGrowth
from swarmhold.policies.bun.navigation import HEARD, OWN, Judged, NavigationTwin, judge
from swarmhold.policies.bun.network import JointNetwork, Shape
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.publish import made, publish
from swarmhold.policies.side_by_side import side_by_side
from swarmhold.sim.bench.measure import machine

ARMS = ("block", "edge", "dense")
NOISES = (0.0, 0.1, 0.2, 0.5)
EPISODES, TEAMS = 32, 64  # of an update, of an evaluation
DROPOUT = 0.1
FIRST, EVERY = 150, 25  # update of the first edge, and updates from one to the next
JUDGED = ("on_goal", "touched")


@dataclass(frozen=True, slots=True)
class Row:
    """One training.

    Attributes:
        robots: N.
        arm: of `ARMS`.
        seed: of everything.
        judged: in the simulator, by noise.
        cost: of the network.
        edges: opened.
        seconds: of training.
    """

    robots: int
    arm: str
    seed: int
    judged: dict[float, Judged]
    cost: Cost
    edges: int
    seconds: float


def run_row(robots: int, arm: str, seed: int, updates: int) -> Row:
    """Train on the twin, judge in the simulator; two edges per robot are the budget."""
    torch.set_num_threads(1)
    twin, rng = NavigationTwin(robots, seed), stream(seed, "training")
    shape = Shape(robots, OWN, HEARD)
    net = JointNetwork(shape, stream(seed, "weights"), dense=arm == "dense")
    rule = GrowthRule(2 * robots, start=FIRST, every=EVERY)

    def loss() -> Tensor:
        return twin.loss(net, EPISODES, rng, DROPOUT)

    started = time.perf_counter()
    train(net, loss, EdgeGrowth(rule) if arm == "edge" else NoGrowth(), updates)
    spent = time.perf_counter() - started
    judged = {noise: judge(net, TEAMS, 1000 + seed, noise) for noise in NOISES}
    return Row(robots, arm, seed, judged, cost_of(net), int(net.edges().sum()), spent)


def study(
    teams: Sequence[int], seeds: int, updates: int, workers: int, say: Callable[[str], None]
) -> list[Row]:
    """All trainings, so many of them side by side; figures do not depend on how many."""
    todo = [
        (robots, arm, seed, updates) for robots in teams for seed in range(seeds) for arm in ARMS
    ]

    def done(number: int, row: Row) -> None:
        what = f"{row.robots} robots, seed {row.seed}, {row.arm}"
        say(f"{number} of {len(todo)} trainings done: {what}")

    return side_by_side(run_row, todo, workers, done)


def ratios(rows: Sequence[Row], robots: int, arm: str = "edge") -> list[float]:
    """Score of an arm over the dense network's, without noise, seed by seed."""
    mine = {(row.arm, row.seed): row for row in rows if row.robots == robots}
    return [
        row.judged[0.0].score / mine["dense", seed].judged[0.0].score
        for (name, seed), row in mine.items()
        if name == arm
    ]


def figures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line per training and noise."""
    return [
        {
            "robots": row.robots, "arm": row.arm, "seed": row.seed, "noise": noise,
            "score": one.score, "on_goal": one.on_goal, "touched": one.touched,
            "flop_share": row.cost.share, "density": row.cost.density,
            "edges": row.edges, "seconds": row.seconds,
        }
        for row in rows
        for noise, one in row.judged.items()
    ]  # fmt: skip


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """For programs: by team size the worst seed of the edge arm, and every run."""
    teams = sorted({row.robots for row in rows})
    edge = [row for row in rows if row.arm == "edge"]
    return {
        "task": "navigation",
        "teams": [
            {
                "robots": robots,
                "score_ratio_to_dense": min(ratios(rows, robots)),
                "flop_share": max(row.cost.share for row in edge if row.robots == robots),
                "edges": [row.edges for row in edge if row.robots == robots],
            }
            for robots in teams
        ],
        "runs": figures(rows),
        "machine": machine(),
        "commit": commit(),
    }


def table(rows: Sequence[Row], robots: int) -> list[str]:
    """Rows of a Markdown table: lowest to highest of the seeds."""
    shown = [f"score, noise {noise:g}" for noise in NOISES]
    head = [
        f"{robots} robots",
        *shown,
        "on their goals",
        "touched",
        "edges",
        "share of dense FLOPs",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for arm in ARMS:
        mine = [row for row in rows if (row.robots, row.arm) == (robots, arm)]
        cells = [arm, *(_range([row.judged[noise].score for row in mine]) for noise in NOISES)]
        cells += [_range([getattr(row.judged[0.0], name) for row in mine]) for name in JUDGED]
        cells += [", ".join(str(row.edges) for row in mine), _range([r.cost.share for r in mine])]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write(rows: Sequence[Row], updates: int, folder: Path) -> list[Path]:
    """Write page and CSV into a folder; returns their paths."""
    made_by, teams = commit(), sorted({row.robots for row in rows})
    seeds = sorted({row.seed for row in rows})
    lines = [
        "# Navigation: sparse joint policies against dense ones",
        "",
        "The scenario `navigation` with Crazyflies: everybody to a goal of its own that it alone "
        "sees, past the others. Joint networks of 24 and 24 units per robot, learnt in "
        f"{updates} updates through a smooth twin, {DROPOUT:.0%} of the messages lost in training; "
        f"judged in the simulator with full bodies, {TEAMS} episodes, seeds "
        f"{', '.join(map(str, seeds))}: lowest to highest. The score is the share of the distance "
        "to the goals that is made good, on average over the episode; noise is added to scaled "
        "inputs (0.1 is 0.2 m of a position); `touched` are robots that touched anything. The "
        "budget is two edges per robot, opened every "
        f"{EVERY} updates from {FIRST} on, as long as they are worth it.",
    ]
    for robots in teams:
        lines += ["", *table(rows, robots)]
        found, cost = ratios(rows, robots), [r for r in rows if r.robots == robots][1].cost
        lines += [
            "",
            f"Edge growth over dense with N = {robots}, seed by seed: "
            f"{', '.join(f'{one:.3f}' for one in found)}, with {cost.density:.1%} of the weights "
            f"between robots open; block diagonal over dense: "
            f"{', '.join(f'{one:.3f}' for one in ratios(rows, robots, 'block'))}.",
        ]
    lines += made(
        made_by,
        f"bench bun --task navigation --robots {' '.join(map(str, teams))} "
        f"--seeds {len(seeds)} --updates {updates} --out results",
        f", one used by each; {sum(row.seconds for row in rows) / 60:.1f} minutes of training",
    )
    shown = figures(rows)
    cells = [list(line.values()) for line in shown]
    return publish(folder, "bun-navigation", "\n".join(lines), list(shown[0]), cells, made_by)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"
