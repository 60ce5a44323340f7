"""`swarmhold play`: a scenario by its scripted heuristic, as figures and as a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.types import Float
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import random_faults
from swarmhold.sim.scenarios.conformance import check
from swarmhold.sim.scenarios.registry import scenario_of
from swarmhold.sim.step import Step


@dataclass(frozen=True)
class PlayArgs:
    """Play a scenario by its scripted heuristic: does it get solved, and what does it look like?"""

    scenario: Annotated[str, tyro.conf.Positional]
    """Name, or path of a file that defines one."""
    robot: str | None = None
    """Robot class; the scenario's first by default."""
    robots: int = 5
    """Team size."""
    episodes: int = 16
    """Episodes, side by side."""
    faults: tuple[str, ...] = ()
    """Fault kinds; one robot of each episode gets one of them."""
    disturbances: Disturbances = field(default_factory=Disturbances)
    """Wind, noise, delays and randomisation."""
    backend: str = "batched"
    """Physics: batched, numpy, mixed, pybullet or pybullet-native."""
    seed: int = 0
    """Of everything."""
    check: bool = False
    """Hold the scenario to the contract instead; for those who write one."""
    clip: Path | None = None
    """Also draw the first episode into this file (gif, webp); needs the extra `plot`."""
    json: bool = False
    """One JSON object on standard output."""


def play(argv: list[str]) -> int:
    """Play and print how it went."""
    args = parse(PlayArgs, argv, "swarmhold play")
    if args.check:
        return _check(args)
    if args.episodes < 1:
        raise ConfigError("need at least one episode")
    env = SwarmEnv(
        *(args.scenario, args.robot, args.episodes, args.robots, args.backend),
        seed=args.seed,
        disturbances=args.disturbances,
    )
    plan: list[list[FaultSpec]] = [[] for _ in range(args.episodes)]
    if args.faults:
        rng = np.random.default_rng(args.seed)
        latest = (0.0, env.limit * env.tick / 2)
        plan = random_faults(rng, [args.robots] * args.episodes, args.faults, start_s=latest)
    if args.clip is not None:
        from swarmhold.sim.render import clip

        clip(env, lambda step: heuristic(env, step), args.clip, faults=plan, episode=0)
    found = episodes(env, plan)
    env.close()
    if args.json:
        print_json(found)
        return 0
    say(f"{env.scenario.name}: {env.scenario.title}")
    say(f"{args.robots} {env.robot}, {args.episodes} episodes of {env.limit * env.tick:.0f} s")
    say(f"success {found['success']:7.1%} of the episodes; score {found['score']:.3f}")
    say(f"error   {found['error_m']:7.3f} m at the end; return {found['return']:.2f}")
    say(f"contact {found['in_contact']:7.1%} of the episodes")
    if args.clip is not None:
        say(f"clip    {args.clip}")
    return 0


def _check(args: PlayArgs) -> int:
    wrong = check(scenario_of(args.scenario), args.robot, args.robots)
    if args.json:
        print_json({"scenario": args.scenario, "wrong": wrong})
    else:
        for line in wrong or ["keeps to the contract"]:
            say(f"{args.scenario}: {line}")
    return 1 if wrong else 0


def heuristic(env: SwarmEnv, step: Step) -> Float:
    """Set-points of the scenario's heuristic, told by an oracle who is healthy."""
    return env.scenario.heuristic(env.spec, step.observation.finite(), step.teammate_health)


def episodes(env: SwarmEnv, plan: list[list[FaultSpec]], episode: int = 0) -> dict[str, Any]:
    """Play one episode in every environment, and sum it up."""
    step = env.reset(faults=plan, episode=episode)
    total, touched = np.zeros(env.n_envs), np.zeros(env.n_envs, bool)
    while not step.done.all():
        step = env.step(heuristic(env, step))
        total += step.outcome.reward
        touched |= step.truth.touched.any(axis=1)
    return {
        "scenario": env.scenario.name,
        "robot": env.robot,
        "robots": env.n_robots,
        "episodes": env.n_envs,
        "success": float(step.outcome.success.mean()),
        "score": float(step.outcome.score.mean()),
        "error_m": float(step.outcome.error.mean()),
        "return": float(total.mean()),
        "in_contact": float(touched.mean()),
    }
