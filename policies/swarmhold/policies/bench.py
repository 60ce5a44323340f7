"""`swarmhold bench train`: one update against the textbook one, and where an iteration goes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.mappo import PLAIN, Mode, ValueScale, gradients_of, update
from swarmhold.policies.plain import plain_update
from swarmhold.policies.probe import choose_mode
from swarmhold.policies.randomise import draw_mix
from swarmhold.policies.rollout import Batch, Gauss, Task
from swarmhold.policies.train import Learner, iterate, make_learner
from swarmhold.policies.workers import Here, rollouts_of
from swarmhold.sim.bench.cli import Peers, check_rounds, peers_of, table
from swarmhold.sim.bench.measure import Round, Say, interleave, machine, ratios_of, repeat, spread
from swarmhold.sim.bench.peer import Peer
from swarmhold.sim.noise import mix

STD = 0.3
ITERATIONS = 25
SETTING = TrainConfig(
    scenario="rendezvous", robot="crazyflie", robots=4, min_robots=3, teams=32, epochs=4,
    warm_start=0, trunk="separate",
)  # fmt: skip
RETURNS = SETTING.model_copy(update={"teams": 8, "minibatch": 1024, "actor_lr": 1e-3})
SHARED_OUT = TrainConfig(scenario="coverage", robot="crazyflie", robots=8, teams=160)
LAST = 0.2  # share of a run, its end, whose mean return counts


@dataclass(frozen=True)
class TrainBenchArgs:
    """MAPPO updates of 4 quadrotors against the textbook update: ratios measured in turns."""

    peer: Peers = ()
    """sb3=PATH of a Python with gym-pybullet-drones and stable-baselines3."""
    rounds: int = 5
    """Interleaved rounds; a warm-up goes before."""
    seconds: float = 1.0
    """CPU-seconds of each subject in a round, at least one call."""
    teams: int = SETTING.teams
    """Teams that are simulated side by side."""
    width: int = SETTING.width
    """Width of the networks."""
    returns: int = 0
    """Also train this many seeds with the textbook update and with ours, and compare returns."""
    iterations: int = 20
    """Iterations of each of those runs."""
    workers: int = 0
    """Also compare roll-outs in that many worker processes with one, in wall time."""
    json: bool = False
    """One JSON object on standard output."""


def train(argv: list[str]) -> int:
    """Measure and print."""
    args = parse(TrainBenchArgs, argv, "swarmhold bench train")
    check_rounds(args.rounds, args.seconds)
    peers = peers_of(args.peer, ("sb3",))
    shape = {"teams": args.teams, "width": args.width}
    found = bench_train(SETTING.model_copy(update=shape), peers, args.rounds, args.seconds, note)
    if args.returns:
        found["returns"] = returns(args.returns, args.iterations, args.width, note)
    if args.workers > 1:
        found["workers_over_one"] = scaling(args.workers, SHARED_OUT, args.rounds, note)
    if args.json:
        print_json(found)
        return 0
    say(f"4 quadrotors, {args.teams} teams, median of {args.rounds} rounds (lowest to highest)")
    table("robot-samples per CPU-second", found["samples_per_cpu_s"], "{:>14,.0f}")
    table("team-steps per CPU-second", found["team_steps_per_cpu_s"], "{:>14,.0f}")
    table("ratio", found["ratio_spread"], "{:>14,.2f}")
    table("share of an iteration", found["shares"], "{:>14.1%}")
    for name, row in found.get("returns", {}).items():
        say(f"return, {name}: {row['mean']:.2f} +- {row['half_width']:.2f} (95 %), n = {row['n']}")
    if "workers_over_one" in found:
        row = found["workers_over_one"]
        low, high = row["low"], row["high"]
        say(f"{args.workers} workers over one: {row['median']:.2f} ({low:.2f} to {high:.2f})")
    say(f"mode of the shared trunk, as measured: {found['mode']}")
    return 0


def play(config: TrainConfig, learner: Learner) -> Batch:
    """One batch of real episodes of a fresh policy, with the features of its trunk."""
    rng = np.random.default_rng(config.seed)
    drawn = draw_mix(rng, config.teams, config.robots, config.min_robots, 1.0)
    keys = mix(config.seed, np.arange(config.teams))
    rollouts = Here(config, config.teams)
    try:
        return rollouts.collect(learner.actor, Task(0, keys, drawn, Gauss(STD), False, True))
    finally:
        rollouts.close()


def update_round(
    run: Callable[..., dict[str, float]],
    config: TrainConfig,
    batch: Batch,
    mir_lambda: float,
    seconds: float,
    mode: Mode = PLAIN,
) -> Round:
    """A round of whole updates, in robot-samples per pass; the batch stays the same."""
    learner = make_learner(config)

    def once() -> None:
        run(
            config, learner.actor, learner.critic, learner.optimiser, ValueScale(), batch, STD,
            mir_lambda, np.random.default_rng(0), mode=mode,
        )  # fmt: skip

    return repeat(once, float(batch.valid.sum()), seconds)


class Iteration:
    """Whole training iterations, and where their CPU time goes.

    Attributes:
        shares: simulator, inference and update, one value per round.
    """

    def __init__(self, config: TrainConfig, mode: Mode, seconds: float) -> None:
        """Args: configuration, mode of the update, and CPU-seconds of a round."""
        self.config, self.seconds, self.number = config, seconds, 0
        self.learner = make_learner(config)
        self.learner.mode, self.calls = mode, 0
        self.rollouts = Here(config, config.teams)
        self.spent = dict.fromkeys(("simulator", "update"), 0.0)
        self.shares: dict[str, list[float]] = {"simulator": [], "inference": [], "update": []}
        for name in ("step", "reset"):  # looked up in the instance first
            env = self.rollouts.collector.env
            setattr(env, name, self._timed("simulator", getattr(env, name)))
        self.learner.update = self._timed("update", self.learner.update)

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def run(*args: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return call(*args, **options)
            finally:
                self.spent[name] += time.process_time() - started
                self.calls += 1

        return run

    def round(self) -> tuple[float, float]:
        """Team-steps and CPU-seconds."""
        steps, spent = 0.0, 0.0
        self.spent = dict.fromkeys(self.spent, 0.0)
        while spent < self.seconds:
            started, self.calls = time.process_time(), 0
            number = self.number % ITERATIONS
            iterate(self.config, self.learner, self.rollouts, self.rollouts, number)
            spent += time.process_time() - started
            self.number += 1
            steps += (self.calls - 2) * self.config.teams  # without the reset and the update
        parts = {name: value / spent for name, value in self.spent.items()}
        parts["inference"] = 1.0 - sum(parts.values())
        for name, value in parts.items():
            self.shares[name].append(value)
        return steps, spent


def bench_train(
    config: TrainConfig, peers: dict[str, Path], rounds: int, seconds: float, say: Say
) -> dict[str, Any]:
    """Measure.

    Args:
        config: what is trained; the trunk and the precision are varied.
        peers: Python interpreters by name; "sb3" is known.
        rounds: interleaved rounds.
        seconds: CPU-seconds of each subject in a round.
        say: told how it goes.

    Returns:
        `ratios` (medians), their spread, rates, shares of an iteration, and the machine.
    """
    shared = config.model_copy(update={"trunk": "shared"})
    learner = make_learner(shared)
    batch = play(shared, learner)
    auto = shared.model_copy(update={"precision": "auto"})
    step = gradients_of(auto, learner.actor, learner.critic, ValueScale(), batch, STD, 0.0, PLAIN)
    mode = choose_mode(auto, step, config.iterations)
    lam = config.mir_lambda
    runs = {
        "plain": update_round(plain_update, config, batch, 0.0, seconds),
        "plain_mir": update_round(plain_update, config, batch, lam, seconds),
        "separate_f32": update_round(update, config, batch, 0.0, seconds),
        "separate": update_round(update, config, batch, 0.0, seconds, mode),
        "shared_f32": update_round(update, shared, batch, 0.0, seconds),
        "shared": update_round(update, shared, batch, 0.0, seconds, mode),
        "shared_mir": update_round(update, shared, batch, lam, seconds, mode),
    }
    whole = Iteration(shared, mode, seconds)
    runs["end_to_end"] = whole.round
    opened = []
    try:
        if "sb3" in peers:
            opened.append(Peer("sb3", peers["sb3"], drones=config.robots, epochs=config.epochs,
                               seconds=seconds))  # fmt: skip
            runs["sb3"] = opened[0].round
        else:
            say("sb3: left out; give --peer sb3=PATH_OF_ITS_PYTHON to compare")
        rates = interleave(runs, rounds, say)
    finally:
        for close in (*(peer.close for peer in opened), whole.rollouts.close):
            close()
    shares = {name: spread(values[1:]) for name, values in whole.shares.items()}  # 0: warm-up
    versions = {peer.name: peer.versions for peer in opened}
    return {
        **compared(rates, config.epochs),
        "shares": shares,
        "simulator_share": round(shares["simulator"]["median"], 4),
        "mode": mode.name,
        "machine": {**machine(), "torch": torch.__version__},
        "peers": versions,
        "rounds": rounds,
    }


def compared(rates: dict[str, list[float]], epochs: int) -> dict[str, Any]:
    """Ratios, their spread, and the rates that they come from; a sample counts once per pass."""
    pairs = {
        "update_over_plain": ("shared", "plain"),
        "update_over_plain_with_mir": ("shared_mir", "plain_mir"),
        "update_f32_over_plain": ("shared_f32", "plain"),
        "update_separate_over_plain": ("separate", "plain"),
        "update_separate_f32_over_plain": ("separate_f32", "plain"),
        "end_to_end_over_sb3": ("end_to_end", "sb3"),
    }
    steps = {name: rates[name] for name in ("end_to_end", "sb3") if name in rates}
    samples = {
        name: [epochs * value for value in values]
        for name, values in rates.items()
        if name not in steps
    }
    return {
        **ratios_of(rates, pairs),
        "samples_per_cpu_s": {name: spread(values) for name, values in samples.items()},
        "team_steps_per_cpu_s": {name: spread(values) for name, values in steps.items()},
    }


def scaling(workers: int, config: TrainConfig, rounds: int, say: Say) -> dict[str, float]:
    """How many times faster roll-outs are with so many worker processes than with one."""
    actor = make_learner(config).actor
    drawn = draw_mix(np.random.default_rng(0), config.teams, config.robots, 3, 1.0)
    task = Task(0, mix(0, np.arange(config.teams)), drawn, Gauss(STD), False)
    here, there = (rollouts_of(config, config.teams, count) for count in (1, workers))
    found = []
    try:
        for number in range(-1, rounds):
            marks = [time.perf_counter()]
            for rollouts in (here, there):
                rollouts.collect(actor, task)
                marks.append(time.perf_counter())
            if number >= 0:
                found.append((marks[1] - marks[0]) / (marks[2] - marks[1]))
                say(f"workers, round {number + 1} of {rounds}: {found[-1]:.2f}")
    finally:
        here.close()
        there.close()
    return spread(found)


def returns(seeds: int, iterations: int, width: int, say: Say) -> dict[str, dict[str, float]]:
    """Mean return at the end of short runs: textbook update, ours with either trunk.

    Args:
        seeds: runs of each.
        iterations: of each run.
        width: of the networks.
        say: told how it goes.

    Returns:
        Mean over seeds, half width of its 95 % interval (Student), values, and CPU-seconds.
    """
    base = RETURNS.model_copy(update={"iterations": iterations, "width": width})
    variants: dict[str, dict[str, Any]] = {
        "plain": {},
        "shared bf16": {"trunk": "shared", "precision": "bf16"},
        "separate bf16": {"precision": "bf16"},
    }
    ends: dict[str, list[float]] = {name: [] for name in variants}
    for seed in range(seeds):
        for name, change in variants.items():
            config = base.model_copy(update={**change, "seed": seed})
            ends[name].append(final_return(config, plain_update if name == "plain" else update))
            say(f"seed {seed}, {name}: return {ends[name][-1]:.2f}")
    return {name: interval(values) for name, values in ends.items()}


def final_return(config: TrainConfig, run: Callable[..., dict[str, float]]) -> float:
    """Mean return of the last part of a run."""
    learner = make_learner(config)
    learner.update = run
    play = Here(config, config.teams)
    try:
        rows = [iterate(config, learner, play, play, i)["return"] for i in range(config.iterations)]
    finally:
        play.close()
    return float(np.mean(rows[-max(1, round(LAST * len(rows))) :]))


def interval(values: list[float]) -> dict[str, Any]:
    """Mean and half width of the 95 % interval; infinite for one value."""
    from scipy import stats

    n, half = len(values), float("inf")
    if n > 1:
        half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return {"mean": float(np.mean(values)), "half_width": half, "n": n, "values": values}
