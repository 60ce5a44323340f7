"""`swarmhold validate`: the batched twin against PyBullet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import ROBOTS, policy_spec
from swarmhold.hardware.types import Float
from swarmhold.sim.blocks import Row
from swarmhold.sim.physics import make_physics
from swarmhold.sim.robots import model_of

LIMIT_M = 1e-9  # after one second, double precision
HOLD_S = 0.1  # a command is held for one decision


@dataclass(frozen=True)
class ValidateArgs:
    """Same commands through both physics backends, nothing touching: how far they part."""

    sequences: int = 40
    """Random command sequences per robot class."""
    seconds: float = 2.0
    """Length of each."""
    seed: int = 0
    """Of the commands."""
    json: bool = False
    """One JSON object on standard output."""


def validate(argv: list[str]) -> int:
    """Exit 0 if both agree within the limit after one second, else 1."""
    args = parse(ValidateArgs, argv, "swarmhold validate")
    if args.sequences < 1 or args.seconds < 1.0:
        raise ConfigError("need at least one sequence of at least one second")
    rows: list[dict[str, Any]] = []
    for robot in ROBOTS:
        error = parting(robot, args.sequences, args.seconds, args.seed)
        rows += [
            {"robot": robot, "time_s": round((k + 1) * HOLD_S, 3), "error_m": float(worst)}
            for k, worst in enumerate(error)
        ]
    at_one = max(row["error_m"] for row in rows if row["time_s"] == 1.0)
    if args.json:
        out = {"position_error_m": {"float64": at_one}, "limit_m": LIMIT_M, "rows": rows}
        print_json(out)
    else:
        for row in rows:
            if round(row["time_s"] / 0.5, 6).is_integer():
                say(f"{row['robot']:<10} {row['time_s']:4.1f} s   {row['error_m']:.2e} m")
        say(f"worst after 1 s: {at_one:.2e} m, limit {LIMIT_M:.0e} m")
    return 0 if at_one <= LIMIT_M else 1


def parting(robot: str, sequences: int, seconds: float, seed: int) -> Float:
    """Largest distance between twin and PyBullet after each command.

    Args:
        robot: robot class.
        sequences: random command sequences, one robot each.
        seconds: length of each.
        seed: of the commands.

    Returns:
        (K) m.
    """
    rng = np.random.default_rng(seed)
    bound = np.asarray(policy_spec(robot).action_bound)
    steps = round(seconds / HOLD_S)
    commands = rng.uniform(-1, 1, (steps, 1, sequences, 2)) * bound
    gain = rng.uniform(0.5, 1.0, (1, sequences))
    place = rng.uniform(-5, 5, (1, sequences, 2))
    yaw = (
        rng.uniform(-3, 3, (1, sequences))
        if policy_spec(robot).drives
        else np.zeros((1, sequences))
    )
    tracks = []
    for backend in ("batched", "pybullet"):
        physics = make_physics(backend, model_of(robot), 1, sequences, 50.0, contacts=False)
        physics.reset(place, yaw, np.ones((1, sequences), bool))
        track = []
        physics.blocks.put(Row.GAIN, np.repeat(gain[..., None], 4, axis=-1))
        for command in commands:
            physics.advance(command, np.zeros((1, sequences), bool), HOLD_S)
            track.append(physics.bodies.position[0].copy())
        tracks.append(np.array(track))
        physics.close()
    return np.asarray(np.linalg.norm(tracks[0] - tracks[1], axis=-1).max(axis=-1))
