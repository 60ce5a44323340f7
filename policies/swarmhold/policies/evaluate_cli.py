"""`swarmhold evaluate`: tables of faults and attacks against weight sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.table import Table

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.entity_budget import Entities, EntityBudget
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.shipped import located
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.calibrate import calibrated
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.evaluate import (
    TeamPolicy,
    evaluate,
    heuristic_policy,
    run_episodes,
    torch_policy,
)
from swarmhold.policies.redteam.campaign import MakeEnv, red_team
from swarmhold.policies.redteam.options import RedTeam
from swarmhold.policies.redteam.table import show as show_attacks
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.scenarios.registry import scenario_of


@dataclass(frozen=True)
class EvaluateArgs:
    """Fault x weight-source table on paired seeds.

    Every cell replays the same layouts and faults; only who tells the weights differs: none
    (all 1), supervisor (the real health chain in the loop), oracle (the truth).
    """

    policy: Annotated[str, tyro.conf.Positional]
    """Run folder, bundle, or the word heuristic."""
    scenario: str | None = None
    """Task; that of the policy by default."""
    robot: str | None = None
    """Robot class of the heuristic; a trained policy has its own."""
    robots: int | None = None
    """Team size; the largest of training by default (heuristic: 10)."""
    episodes: int = 16
    """Paired episodes per cell."""
    faulty: int = 1
    """Broken robots per episode."""
    entities: Entities = "none"
    """Whom to attend to in a team larger than any of training: all, the nearest, or in turns."""
    faults: tuple[str, ...] = ("crash", "runaway", "spoof", "nan", "reboot", "link_loss", "slow")
    """Fault kinds, one row each."""
    backend: str = "batched"
    """Physics: batched, numpy, mixed, pybullet or pybullet-native."""
    simulator: Literal["own", "jaxrobotarium"] = "own"
    """Own, or JaxRobotarium's Navigation: gritsbot only, no faults, one row of figures."""
    disturbances: Disturbances = field(default_factory=Disturbances)
    """Wind, noise, delays and randomisation, the same in every cell."""
    attack: Annotated[RedTeam, tyro.conf.OmitArgPrefixes] = field(default_factory=RedTeam)
    """Attack the policy instead of breaking robots."""
    seed: int = 100
    """Of layouts and faults; training never uses the same layouts."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated.

    Attributes:
        scenario: task.
        robot: class.
        robots: default team size, the largest of training.
        act: the policy for an environment.
        health: calibrated settings, or None.
        actor: its network; None where gradients cannot be had of it.
    """

    scenario: str
    robot: str
    robots: int
    act: Callable[[SwarmEnv], TeamPolicy]
    health: HealthSettings | None
    actor: HealthAttentionActor | None = None


def main(argv: list[str]) -> int:
    """Evaluate a run, a bundle or the heuristic."""
    args = parse(EvaluateArgs, argv, "swarmhold evaluate")
    subject = _subject(args)
    robots = args.robots or subject.robots
    _check(args, robots)
    if args.simulator == "jaxrobotarium":
        return _in_jaxrobotarium(args, subject, robots)

    def make_env(teams: int = args.episodes, seed: int = args.seed) -> SwarmEnv:
        return SwarmEnv(
            *(subject.scenario, subject.robot, teams, robots, args.backend),
            seed=seed,
            disturbances=args.disturbances,
        )

    settings = subject.health or _calibrated(make_env, subject)
    if args.attack.red_team:
        return _attacked(args, subject, make_env, settings)
    budget = EntityBudget(subject.robots - 1, args.entities)
    table = evaluate(
        make_env,
        subject.act,
        args.faults,
        args.faulty,
        settings,
        args.seed,
        lambda cell: note(f"evaluate: {cell}"),
        budget,
    )
    table |= {"policy": args.policy, "backend": args.backend, "entities": args.entities}
    if robots - args.faulty >= 2:
        table["survivors"] = _survivors(make_env, subject, settings, robots - args.faulty, budget)
        for row in table["rows"]:
            row["kept"] = row["score"] / max(table["survivors"]["score"], 1e-9)
    if args.json:
        print_json(table)
    else:
        _show(table)
    return 0


def _attacked(
    args: EvaluateArgs, subject: Subject, make_env: MakeEnv, settings: HealthSettings
) -> int:
    """Let the red team play, and print its table."""
    table = red_team(
        *(args.attack, make_env, subject.act, subject.actor, settings, args.episodes, args.seed),
        lambda line: note(f"evaluate: {line}"),
    )
    table |= {"policy": args.policy, "backend": args.backend}
    if args.json:
        print_json(table)
    else:
        show_attacks(table)
    return 0


def _in_jaxrobotarium(args: EvaluateArgs, subject: Subject, robots: int) -> int:
    """Play in JaxRobotarium's Navigation, and print the figures."""
    from swarmhold.sim.jaxrobotarium import policy as abroad

    abroad.check_robot(subject.robot)
    home = SwarmEnv(subject.scenario, subject.robot, 1, robots)  # heuristics ask it for its spec
    env = abroad.navigation(min(args.episodes, 64), robots, args.seed)
    found = abroad.evaluate(env, subject.act(home), args.episodes)
    home.close()
    table = {"policy": args.policy, "simulator": args.simulator, "robots": robots, **found}
    if args.json:
        print_json(table)
    else:
        say(", ".join(f"{name} {value:.3g}" for name, value in found.items()))
    return 0


def _check(args: EvaluateArgs, robots: int) -> None:
    unknown = [kind for kind in args.faults if kind not in KINDS]
    if unknown:
        raise ConfigError(f"unknown fault {unknown[0]!r}; choose from: {', '.join(KINDS)}")
    if robots < 2 or args.episodes < 1 or not 0 < args.faulty < robots:
        raise ConfigError(
            f"{robots} robots, {args.faulty} faulty, {args.episodes} episodes: need at least "
            "2 robots, 1 episode, and 1 to N - 1 faulty robots"
        )
    if args.attack.red_team:
        args.attack.check(robots)
        if args.simulator != "own":
            raise ConfigError("--red-team attacks in --simulator own only")
    if args.entities != "none" and args.policy == "heuristic":
        raise ConfigError("--entities is for policies with a largest team of training")
    if args.entities != "none" and args.simulator != "own":
        raise ConfigError(f"--entities {args.entities} works with --simulator own only")


def _subject(args: EvaluateArgs) -> Subject:
    """Find out what was named.

    Raises:
        ConfigError: neither run nor bundle.
    """
    if args.policy == "heuristic":
        scenario = args.scenario or "rendezvous"
        robot = args.robot or scenario_of(scenario).robots[0]
        return Subject(scenario, robot, 10, heuristic_policy, None)
    path = located(Path(args.policy))
    if (path / "config.json").is_file():
        config, actor, _ = load_run(path)
        found = Subject(
            config.scenario,
            config.robot,
            config.robots,
            lambda env: torch_policy(actor),
            None,
            actor if isinstance(actor, HealthAttentionActor) and not actor.memory else None,
        )
    elif path.exists():
        bundle = open_bundle(path)
        policy, made = OnnxPolicy(bundle), bundle.manifest

        def act(env: SwarmEnv) -> TeamPolicy:
            return OnnxTeam(policy)

        most = made.team_sizes_trained[1]
        found = Subject(made.scenario, made.robot, most, act, bundle.health)
    else:
        raise ConfigError(f"{path} does not exist; give a run folder, a bundle or 'heuristic'")
    if args.robot not in (None, found.robot):
        raise ConfigError(f"{path} was trained for {found.robot}, not {args.robot}")
    return replace(found, scenario=args.scenario or found.scenario)


def _calibrated(make_env: Callable[[], SwarmEnv], subject: Subject) -> HealthSettings:
    """Settings with the thresholds of fault-free episodes, as export would set them."""
    env = make_env()
    settings = calibrated(env, subject.act)
    env.close()
    return settings


def _survivors(
    make_env: Callable[[], SwarmEnv],
    subject: Subject,
    settings: HealthSettings,
    size: int,
    budget: EntityBudget,
) -> dict[str, float]:
    """Fault-free figures of a team as large as what is left: the scale for `kept`."""
    note(f"evaluate: fault-free team of {size}")
    env = make_env()
    plan: list[list[Any]] = [[] for _ in range(env.n_envs)]
    sizes = [size] * env.n_envs
    out = run_episodes(
        *(env, subject.act(env), "supervisor", plan, settings, 0, sizes, budget),
        known=subject.act(env),
    )
    env.close()
    return {
        "robots": size,
        "score": float(np.mean(out.score)),
        "error_m": float(np.mean(out.error_m)),
        "returns": float(np.mean(out.returns)),
    }


def _show(table: dict[str, Any]) -> None:
    """The table for people."""
    nominal = table["nominal"]
    view = Table(
        title=f"{table['scenario']}, {table['robots']} {table['robot']}, {table['faulty']} faulty, "
        f"{table['episodes']} paired episodes ({table['backend']})"
    )
    for name in ("fault", "weights", "return", "score", "error, cm", "restored", "kept"):
        view.add_column(name, justify="left" if name in ("fault", "weights") else "right")
    view.add_row(
        "none",
        "supervisor",
        _cell(nominal, "returns", 2),
        _cell(nominal, "score", 3),
        _cell(nominal, "error_m", 2, 100.0),
        "",
        "",
    )
    for row in table["rows"]:
        restored, kept = row.get("restored"), row.get("kept")
        view.add_row(
            row["fault"],
            row["weights"],
            _cell(row, "returns", 2),
            _cell(row, "score", 3),
            _cell(row, "error_m", 2, 100.0),
            "" if restored is None else _cell(row, "restored", 2),
            "" if kept is None else f"{kept:.0%}",
        )
    print_tables(view)
    say(
        f"false alarms: {nominal['false_alarm_ticks']:.0f} ticks in "
        f"{nominal['robot_hours']:.2f} fault-free robot-hours; restored: share of the lost return "
        "that the weights give back; kept: score against a fault-free team of the survivors' size"
    )


def _cell(row: dict[str, Any], name: str, digits: int, scale: float = 1.0) -> str:
    low, high = (scale * value for value in row[f"{name}_interval"])
    return f"{scale * row[name]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
