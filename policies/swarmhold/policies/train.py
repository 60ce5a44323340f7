"""The training loop: warm start, then MAPPO; resumable with identical results.

All randomness of an iteration follows from (seed, phase, iteration), and every checkpoint is
taken between two iterations, so an interrupted run continues exactly as if it had not been.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.arms import make_actor
from swarmhold.policies.checkpoint import (
    restore,
    save,
    stored_arrays,
    stored_progress,
    write_json,
)
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import Critic, SharedCritic
from swarmhold.policies.imitate import ENVS, KEEP, Imitation, imitate
from swarmhold.policies.information import Club, inform, make_club
from swarmhold.policies.maddpg import Targets, make_critic, make_targets
from swarmhold.policies.mappo import PLAIN, Mode, ValueScale, gradients_of, update
from swarmhold.policies.off_policy import iterate_off_policy
from swarmhold.policies.probe import MODES, choose_mode, choose_threads, one_step
from swarmhold.policies.randomise import draw_episodes
from swarmhold.policies.replay import Replay, make_replay
from swarmhold.policies.rollout import Batch, Gauss, Task
from swarmhold.policies.workers import Rollouts, rollouts_of
from swarmhold.sim.noise import mix
from swarmhold.sim.scenarios.registry import scenario_of

SLOW = 1.5  # times the usual duration of an iteration
Report = Callable[[int, int, dict[str, float]], None]  # (iterations done, all, figures)


@dataclass(slots=True)
class Learner:
    """All that training changes; how it computes is open while `mode` is None or `threads` 0."""

    actor: Actor
    critic: Any
    optimiser: torch.optim.Optimizer
    scale: ValueScale
    memory: Imitation
    mode: Mode | None = None
    threads: int = 1
    club: Club | None = None
    target: Targets | None = None
    replay: Replay | None = None
    update: Callable[..., dict[str, float]] = update


def make_learner(config: TrainConfig) -> Learner:
    """Fresh networks from the seed."""
    torch.set_num_threads(1)  # with two threads on busy cores torch is 15 to 60 times slower
    torch.manual_seed(config.seed)
    actor = make_actor(config)
    critic: torch.nn.Module = Critic()
    if config.algorithm == "maddpg":
        critic = make_critic(config, scenario_of(config.scenario).slots(config.robots))
    elif config.trunk == "shared":
        critic = SharedCritic(actor.feature_size)
    optimiser = torch.optim.Adam(
        [
            {"params": actor.parameters(), "lr": config.actor_lr},
            {"params": critic.parameters(), "lr": config.critic_lr},
        ],
        eps=1e-5,
    )
    return Learner(actor, critic, optimiser, ValueScale(), Imitation(), club=make_club(config))


def train(
    config: TrainConfig,
    run: Path,
    resume: bool,
    report: Report,
    workers: int = 1,
    ray: bool = False,
) -> Path:
    """Train a policy into a run folder.

    Args:
        config: of the run.
        run: folder; must be new, unless `resume`.
        resume: continue the run in the folder.
        report: called after every iteration.
        workers: processes that roll out, with the same results whatever their number.
        ray: whether they are actors of the Ray cluster that this process can reach.

    Returns:
        The run folder.

    Raises:
        ConfigError: the folder holds another run, or nothing to resume.
        KeyboardInterrupt: passed on after the last whole iteration has been stored.
    """
    learner = make_learner(config)
    done = _prepare(config, run, resume, learner)
    total = config.warm_start + config.iterations
    warm = rollouts_of(config, ENVS, workers, ray)
    main = rollouts_of(config, config.teams, workers, ray)
    from torch.utils.tensorboard import SummaryWriter

    seconds: list[float] = []
    board = SummaryWriter(str(run / "tensorboard"), purge_step=done)
    try:
        while done < total:
            if done == config.warm_start:
                warm.close()  # its processes are needed no more
            started = time.monotonic()
            figures = iterate(config, learner, warm, main, done, run)
            figures["seconds"] = time.monotonic() - started
            done += 1
            _watch(config, learner, seconds, figures["seconds"])
            # Logged first: what is logged and not stored is trimmed and repeated on resume.
            _log(run, board, done, figures)
            _store(run, learner, done)
            report(done, total, figures)
    finally:
        board.close()
        main.close()
        warm.close()
    shutil.rmtree(run / "replay", ignore_errors=True)  # as large as the memory, needed no more
    return run


def _prepare(config: TrainConfig, run: Path, resume: bool, learner: Learner) -> int:
    """Make or check the run folder; returns iterations already done."""
    path = run / "config.json"
    if not resume:
        if path.exists():
            raise ConfigError(f"{run} holds a run already; give --resume or another --run-dir")
        run.mkdir(parents=True, exist_ok=True)
        write_json(path, config.model_dump())
        return 0
    if not path.is_file():
        raise ConfigError(f"nothing to resume in {run}; start without --resume")
    if not (run / "checkpoint.safetensors").is_file():
        _trim_log(run, 0)
        return 0
    _recall(config, run, learner)
    progress = restore(run, _modules(learner), learner.optimiser)
    learner.scale = ValueScale(**progress["value_scale"])
    learner.mode = MODES.get(progress.get("mode", ""))
    learner.threads = int(progress.get("threads", 1))
    torch.set_num_threads(max(1, learner.threads))
    done = int(progress["iterations"])
    _recollect(run, learner, done)
    _trim_log(run, done)
    return done


def iterate(
    config: TrainConfig,
    learner: Learner,
    warm: Rollouts,
    main: Rollouts,
    done: int,
    run: Path | None = None,
) -> dict[str, float]:
    """One iteration of whichever phase it is; a run's folder holds what memory cannot."""
    if done < config.warm_start:
        return imitate(config, warm, learner.actor, learner.optimiser, learner.memory, done)
    learner.memory.recent.clear()
    iteration = done - config.warm_start
    if config.algorithm == "maddpg":
        return iterate_off_policy(config, learner, main, iteration, run)
    return iterate_on_policy(config, learner, main, iteration)


def iterate_on_policy(
    config: TrainConfig, learner: Learner, main: Rollouts, iteration: int
) -> dict[str, float]:
    """One iteration of MAPPO."""
    if iteration == 0:
        learner.optimiser.state.clear()  # moments of the regression do not fit the surrogate
    rng = np.random.default_rng([config.seed, 2, iteration])
    torch.manual_seed(int(rng.integers(2**31)))
    share = iteration / max(config.iterations - 1, 1)
    std = config.std_start * (config.std_end / config.std_start) ** share
    anneal = np.clip((share - config.fault_start) / 0.2, 0.0, 1.0) if not config.warm_start else 1.0
    drawn = draw_episodes(config, rng, share, float(anneal))
    keys = mix(config.seed, 2, iteration, np.arange(config.teams))
    task = Task(1000 + iteration, keys, drawn, Gauss(std), False, config.trunk == "shared")
    batch = main.collect(learner.actor, task)
    score = batch.reward.sum(axis=0)
    batch, known = inform(config, learner.club, batch, config.mir_lambda * min(1.0, 3.0 * share))
    # The critic learns first, so that its early errors do not undo the warm start.
    actor_rate = 0.0 if config.warm_start and iteration < 2 else config.actor_lr * (1 - 0.9 * share)
    learner.optimiser.param_groups[0]["lr"] = actor_rate
    learner.optimiser.param_groups[1]["lr"] = config.critic_lr
    mir_lambda = config.mir_lambda * min(1.0, 3.0 * share) * (config.regulariser == "mir-f")
    if learner.mode is None or learner.threads == 0:
        _choose(config, learner, batch, std, mir_lambda, config.iterations - iteration)
    assert learner.mode is not None
    losses = learner.update(
        config, learner.actor, learner.critic, learner.optimiser, learner.scale, batch, std,
        mir_lambda, rng, mode=learner.mode,
    )  # fmt: skip
    nominal = drawn.kinds == 0
    return {
        "return": float(score.mean()),
        "return_nominal": float(score[nominal].mean()) if nominal.any() else float("nan"),
        "score": float(batch.score.mean()),
        "error_m": float(batch.error.mean()),
        "success": float(batch.success.mean()),
        "std": std,
        **losses,
        **known,
    }


def _choose(
    config: TrainConfig, learner: Learner, batch: Batch, std: float, mir_lambda: float, left: int
) -> None:
    """Decide how the networks are computed; stored with every checkpoint.

    The mode is decided once per run, the threads again after every slow iteration.
    """
    step = gradients_of(
        config, learner.actor, learner.critic, dataclasses.replace(learner.scale), batch, std,
        mir_lambda, PLAIN,
    )  # fmt: skip
    learner.mode = learner.mode or choose_mode(config, step, left)
    learner.threads = config.threads
    if config.threads == 0:
        learner.threads = choose_threads(one_step(dataclasses.replace(step, mode=learner.mode)))
    torch.set_num_threads(learner.threads)


def _watch(config: TrainConfig, learner: Learner, seconds: list[float], last: float) -> None:
    """After a slow iteration more threads than one are not trusted any more: measure again."""
    slow = len(seconds) >= 3 and last > SLOW * statistics.median(seconds)
    seconds.append(last)
    if config.threads == 0 and learner.threads > 1 and slow:
        seconds.clear()
        learner.threads = 0
        torch.set_num_threads(1)


def _store(run: Path, learner: Learner, done: int) -> None:
    scale = learner.scale
    progress: dict[str, Any] = {
        "iterations": done,
        "value_scale": {"mean": scale.mean, "std": scale.std, "seen": scale.seen},
        "mode": learner.mode.name if learner.mode else "",
        "threads": learner.threads,
    }
    # The data goes first and its oldest part goes last: stopped anywhere in between, the
    # checkpoint that counts still finds all it needs.
    if learner.memory.recent:
        part = learner.memory.recent[-1]
        np.savez(run / f"imitation-{done - 1}.npz", **part)
    arrays = {}
    if learner.replay is not None:
        queues = learner.replay.queues
        arrays = {"priority": queues.priority, "mass": queues.mass}
        progress["episodes"] = learner.replay.episodes
    save(run, _modules(learner), learner.optimiser, progress, arrays)
    if learner.memory.recent:
        (run / f"imitation-{done - 1 - KEEP}.npz").unlink(missing_ok=True)
    else:
        for old in run.glob("imitation-*.npz"):
            old.unlink()


def _modules(learner: Learner) -> dict[str, torch.nn.Module]:
    """Everything that a checkpoint holds the weights of."""
    found: dict[str, torch.nn.Module] = {"actor": learner.actor, "critic": learner.critic}
    if learner.target is not None:
        found |= {"target_actor": learner.target.actor, "target_critic": learner.target.critic}
        if learner.target.start is not None:
            found["start"] = learner.target.start
    if learner.club is not None:
        found["club"] = learner.club
    return found


def _recall(config: TrainConfig, run: Path, learner: Learner) -> None:
    """Target networks and memory of a run that had them."""
    arrays, progress = stored_arrays(run), stored_progress(run)
    if "episodes" in progress:
        learner.target = make_targets(config, learner.actor, learner.critic)
        learner.replay = make_replay(config, run)
        learner.replay.queues.priority = arrays["priority"]
        learner.replay.queues.mass = arrays["mass"]
        learner.replay.episodes = int(progress["episodes"])


def _recollect(run: Path, learner: Learner, done: int) -> None:
    """Labelled data of the last iterations, in order."""
    for index in range(max(0, done - KEEP), done):
        path = run / f"imitation-{index}.npz"
        if path.is_file():
            with np.load(path) as stored:
                learner.memory.recent.append({key: stored[key] for key in stored.files})


def _log(run: Path, board: Any, done: int, figures: dict[str, float]) -> None:
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps({"iteration": done, **figures}) + "\n")
    for name, value in figures.items():
        board.add_scalar(name, value, done)


def _trim_log(run: Path, done: int) -> None:
    """Drop log lines of iterations that will be repeated."""
    path = run / "log.jsonl"
    if path.is_file():
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        kept = [line for line in lines if json.loads(line)["iteration"] <= done]
        path.write_text("".join(line + "\n" for line in kept))
