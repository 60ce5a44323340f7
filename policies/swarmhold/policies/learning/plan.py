"""What a table consists of: rows (an arm and who tells it the weights), and columns (a fault)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmhold.policies.arms import ARMS, Arm
from swarmhold.policies.config import TrainConfig
from swarmhold.sim.scenarios.registry import scenario_of

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        label: for people.
        arm: method.
        weights: who tells the weights in evaluation: none, supervisor or oracle.
        options: what differs from the arm's settings in training.
    """

    label: str
    arm: Arm
    weights: str = "none"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """What happens to the team in evaluation.

    Attributes:
        label: for people.
        fault: kind, or None.
        faulty: share of the team that it befalls, at least one robot.
        team: size of the team, times that of training.
        alarms: share of the time in which a robot wrongly distrusts a teammate.
        attack: steps that a PPO attacker learns against the policy; 0 for none.
        robot: the one that it befalls, instead of random ones.
        at: share of the episode after which it does; with `robot` only.
    """

    label: str
    fault: str | None = None
    faulty: float = 0.3
    team: int = 1
    alarms: float = 0.0
    attack: int = 0
    robot: int | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table of evidence.

    Attributes:
        name: by which users ask for it.
        title: one line.
        claim: what it is to show.
        scenarios: tasks, with their robot class.
        rows: see `Row`.
        columns: see `Column`.
        metric: what a cell shows: score, success, returns.
        also: further metrics that the page shows.
        solved: figure of the log and its least value with which a scenario counts as solved.
        options: of all trainings of the table.
        logs: whether the page tells how the trainings went.
    """

    name: str
    title: str
    claim: str
    scenarios: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    metric: str = "success"
    options: Options = field(default_factory=dict)
    logs: bool = False
    also: tuple[str, ...] = ()
    solved: Mapping[str, tuple[str, float]] = field(default_factory=dict)


LATER = ("disturbances",)  # settings that came after the first tables; at their defaults they
# are no part of a training's name, so that figures measured before stay what they are


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run, and all that is asked of it.

    Attributes:
        config: of the training.
        looks: pairs of weight source and column.
        episodes: of each look.
    """

    config: TrainConfig
    looks: tuple[tuple[str, Column], ...]
    episodes: int

    @property
    def run(self) -> str:
        """Name of the training: the same settings have the same name in every table."""
        plain = {
            name
            for name in LATER
            if getattr(self.config, name) == TrainConfig.model_fields[name].default
        }
        made = self.config.model_dump_json(exclude=plain)
        digest = hashlib.sha256(made.encode()).hexdigest()[:10]
        return f"{self.config.scenario}-{self.config.actor}-s{self.config.seed}-{digest}"

    def name(self, weights: str, column: Column) -> str:
        """Name of one look at the trained policy."""
        asked = {"weights": weights, "episodes": self.episodes, **_plain(column)}
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:10]
        return f"{weights}-{column.label.replace(' ', '_')}-{digest}"


def _plain(column: Column) -> dict[str, Any]:
    """All of a column that decides the figures; its label does not."""
    return {name: getattr(column, name) for name in Column.__slots__ if name != "label"}


def config_of(
    table: Table, row: Row, scenario: str, robot: str, seed: int, share: float
) -> TrainConfig:
    """The training behind a row.

    Args:
        table: gives common options.
        row: gives arm and options.
        scenario: task.
        robot: class.
        seed: of the training.
        share: of the iterations, for trying out.
    """
    own = scenario_of(scenario).train
    parts = (own, ARMS[row.arm], table.options, row.options)
    values = {name: value for part in parts for name, value in part.items()}
    values["replay"] = {k: v for part in parts for k, v in part.get("replay", {}).items()}
    values |= {"scenario": scenario, "robot": robot, "seed": seed}
    config = TrainConfig.model_validate(values)
    if share == 1.0:
        return config
    least = {"warm_start": min(config.warm_start, 1), "iterations": 2}
    cut = {name: max(n, round(share * getattr(config, name))) for name, n in least.items()}
    return config.model_copy(update=cut)


def cells_of(table: Table, seeds: int, episodes: int, share: float) -> list[Cell]:
    """All trainings of a table, each once, with what is asked of them."""
    asked: dict[str, tuple[TrainConfig, list[tuple[str, Column]]]] = {}
    for seed in range(seeds):
        for scenario, robot in table.scenarios:
            for row in table.rows:
                config = config_of(table, row, scenario, robot, seed, share)
                _, looks = asked.setdefault(config.model_dump_json(), (config, []))
                new = [(row.weights, column) for column in table.columns]
                looks.extend(look for look in new if look not in looks)
    return [Cell(config, tuple(looks), episodes) for config, looks in asked.values()]
