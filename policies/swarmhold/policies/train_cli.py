"""`swarmhold train`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from swarmhold.hardware.cli.config import note, parse, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.arms import ARMS, Arm
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.train import train
from swarmhold.sim.scenarios.registry import scenario_of


class TrainArgs(TrainConfig):
    """Train a team policy: imitation of the scenario's heuristic, then reinforcement.

    Hyper-parameters that a scenario brings along replace the defaults shown here.
    """

    robot: str | None = None
    """Robot class: epuck, crazyflie or gritsbot; the scenario's first by default."""
    arm: Arm = "ours"
    """A method by name: sets algorithm, networks and what they are told; options win over it."""
    run_dir: Path
    """Folder of the run: configuration, checkpoints, logs."""
    resume: bool = False
    """Go on with the run in the folder; its own configuration holds."""
    workers: int = 1
    """Processes that roll out; the results are the same whatever their number."""
    ray: bool = False
    """Roll out on the Ray cluster of RAY_ADDRESS, or on a local one; needs the extra `ray`."""


def main(argv: list[str]) -> int:
    """Train; Ctrl-C keeps every finished iteration and says how to go on."""
    args = parse(TrainArgs, argv, "swarmhold train")
    config = _stored(args) if args.resume else _config(args, argv)
    train_with_progress(config, args.run_dir, args.resume, args.workers, args.ray)
    say(f"{args.run_dir}: trained; next: swarmhold export {args.run_dir} --out BUNDLE")
    return 0


def train_with_progress(
    config: TrainConfig, run: Path, resume: bool, workers: int = 1, ray: bool = False
) -> None:
    """Train with a progress bar on standard error.

    Args:
        config: of the run.
        run: run folder.
        resume: go on with the run in it.
        workers: see `train`.
        ray: see `train`.

    Raises:
        KeyboardInterrupt: with the command that goes on where this stopped.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    total = config.warm_start + config.iterations
    try:
        console = Console(stderr=True)
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("imitation", total=total, figures="")

            def report(done: int, _: int, figures: dict[str, float]) -> None:
                phase = "imitation" if done < config.warm_start else config.algorithm.upper()
                text = f"return {figures['return']:.2f}, score {figures['score']:.3f}"
                progress.update(task, completed=done, description=phase, figures=text)
                if not console.is_terminal and done % 5 == 0:
                    note(f"{phase} {done}/{total}: {text}")

            train(config, run, resume, report, workers, ray)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"resume with: swarmhold train --resume --run-dir {run}") from None


def _config(first: TrainArgs, argv: list[str]) -> TrainConfig:
    """Defaults, then those of the arm, then those of the scenario, then file and options."""
    scenario, beneath = scenario_of(first.scenario), ARMS[first.arm]
    args = parse(TrainArgs, argv, "swarmhold train", beneath={**beneath, **scenario.train})
    values = args.model_dump(exclude={"run_dir", "resume", "workers", "ray", "arm"})
    robot, smallest = args.robot or scenario.robots[0], min(args.min_robots, args.robots)
    return TrainConfig(**{**values, "robot": robot, "min_robots": smallest})


def _stored(args: TrainArgs) -> TrainConfig:
    """The configuration of the run; options that contradict it are errors.

    Raises:
        ConfigError: no run there, or an option differs from the run's own.
    """
    path = args.run_dir / "config.json"
    if not path.is_file():
        raise ConfigError(f"nothing to resume in {args.run_dir}; start without --resume")
    stored = TrainConfig.model_validate_json(path.read_text())
    for name, info in TrainConfig.model_fields.items():
        given = getattr(args, name)
        if given not in (None, info.default, getattr(stored, name)):
            raise ConfigError(
                f"--{name.replace('_', '-')} {given} differs from the run's "
                f"{getattr(stored, name)}; leave it out, or start another --run-dir"
            )
    return stored
