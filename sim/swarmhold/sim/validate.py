"""How far the batched twin parts from PyBullet under the same commands, nothing touching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Float
from swarmhold.sim.blocks import Row
from swarmhold.sim.flight import CONTROL_HZ, FlightSim
from swarmhold.sim.physics import make_physics
from swarmhold.sim.robots import DriveModel, model_of

HEIGHT = 50.0  # m, high enough to tumble for seconds
REFERENCE = "pybullet-native"  # equal to Python calls within 1e-12 m, else those themselves
ROBOTS = ("epuck", "crazyflie")  # the Robotarium's robot has physics of its own (`sim.ground`)
LIMITS = {"float64": 1e-9, "float32": 1e-3, "disturbed": 1e-6}  # m, after one second


@dataclass(frozen=True, slots=True)
class Track:
    """How far one case parts.

    Attributes:
        case: what flew or drove, and under what.
        kind: key of `LIMITS` that it is held to.
        time_s: (K) s.
        error_m: (K) m, largest over all sequences.
    """

    case: str
    kind: str
    time_s: Float
    error_m: Float

    @property
    def at_one_second(self) -> float:
        """M, largest error after one second."""
        return float(self.error_m[np.searchsorted(self.time_s, 1.0 - 1e-9)])

    @property
    def holds(self) -> bool:
        """Whether it is within its limit."""
        return self.at_one_second <= LIMITS[self.kind]


def tracks(sequences: int, seconds: float, seed: int) -> Iterator[Track]:
    """Every case, one after the other.

    Args:
        sequences: random command sequences of each case, one robot each.
        seconds: length, at least 1.
        seed: of commands and disturbances.
    """
    options = (sequences, seconds, seed)
    yield flown("rotors", "float64", *options)
    yield flown("rotors", "float32", *options)
    yield flown("rotors, wind, drag, faults", "disturbed", *options)
    for robot in ROBOTS:
        yield driven(robot, "float64", *options)
        yield driven(f"{robot}, wind, drag, faults", "disturbed", *options)


def flown(case: str, kind: str, sequences: int, seconds: float, seed: int) -> Track:
    """Quadrotors under random rotor commands at 48 Hz, tumbling freely.

    Args:
        case: name.
        kind: "float64", "float32" (precision of the twin), or "disturbed".
        sequences: one quadrotor each.
        seconds: length.
        seed: of the commands.
    """
    rng = np.random.default_rng(seed)
    rough = kind == "disturbed"
    steps = round(seconds * CONTROL_HZ)
    commands = rng.uniform(-1, 1, (steps, sequences, 1, 4))
    weather = _disturbances(rng, (sequences, 1), drives=False)
    real = np.float32 if kind == "float32" else np.float64
    paths = []
    for backend in ("batched", REFERENCE):
        sim = FlightSim(sequences, 1, backend, real, drag=rough, auto_reset=False)
        place = np.zeros((sequences, 1, 3))
        place[..., 2] = HEIGHT
        sim.blocks.put(Row.POSITION, place)
        if rough:
            for row, value in weather.items():
                sim.blocks.put(row, value)
        if sim._bodies is not None:
            sim._bodies.push()
        path = np.zeros((steps, sequences, 3))
        for step, command in enumerate(commands):
            sim.move(command)
            path[step] = sim.state[:, 0, :3]
        paths.append(path)
        sim.close()
    return Track(case, kind, (1 + np.arange(steps)) / CONTROL_HZ, _apart(paths))


def driven(case: str, kind: str, sequences: int, seconds: float, seed: int) -> Track:
    """Robots under random velocity set-points at 10 Hz, as policies give them.

    Args:
        case: name; its first word is the robot class.
        kind: "float64" or "disturbed".
        sequences: one robot each.
        seconds: length.
        seed: of the commands.
    """
    robot, hold = case.split(",")[0], 0.1
    model, spec = model_of(robot), policy_spec(robot)
    rng = np.random.default_rng(seed)
    steps = round(seconds / hold)
    commands = rng.uniform(-1, 1, (steps, sequences, 1, 2)) * np.asarray(spec.action_bound)
    yaw = rng.uniform(-3, 3, (sequences, 1)) if spec.drives else np.zeros((sequences, 1))
    weather = _disturbances(rng, (sequences, 1), isinstance(model, DriveModel))
    nobody = np.zeros((sequences, 1), bool)
    paths = []
    for backend in ("batched", REFERENCE):
        physics = make_physics(backend, model, sequences, 1, HEIGHT, contacts=False)
        physics.reset(np.zeros((sequences, 1, 2)), yaw, ~nobody)
        for row, value in weather.items() if kind == "disturbed" else ():
            physics.blocks.put(row, value)
        path = np.zeros((steps, sequences, 3))
        for step, command in enumerate(commands):
            physics.advance(command, nobody, hold)
            path[step] = physics.bodies.position[:, 0]
        paths.append(path)
        physics.close()
    return Track(case, kind, (1 + np.arange(steps)) * hold, _apart(paths))


def _disturbances(
    rng: np.random.Generator, shape: tuple[int, int], drives: bool
) -> dict[Row, Float]:
    """Wind, other masses, and motors that are weak or pull on their own: rows of the blocks."""
    stuck = rng.uniform(-0.02, 0.02, (*shape, 4))
    return {
        Row.WIND: rng.uniform(-3, 3, (*shape, 3)),
        Row.MASS: rng.uniform(0.9, 1.2, shape),
        Row.GAIN: rng.uniform(0.3, 1.0, (*shape, 4)),
        Row.BIAS: stuck if drives else 0.2 * np.abs(stuck),
    }


def _apart(paths: list[Float]) -> Float:
    """(K) m, largest distance over the sequences; infinite where one is not a number."""
    distance = np.linalg.norm(paths[0] - paths[1], axis=-1).max(axis=-1)
    return np.where(np.isfinite(distance), distance, np.inf)


def plot(found: list[Track], path: Path) -> None:
    """Draw error over time into an image or PDF, by the file's ending.

    Raises:
        ConfigError: the file cannot be written, or its ending is unknown.
        ModuleNotFoundError: matplotlib is missing.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for track in found:
        label = f"{track.case} ({track.kind})"
        axes.plot(track.time_s, np.maximum(track.error_m, 1e-18), label=label)
    for limit in LIMITS.values():
        axes.plot([1.0], [limit], "kv", markersize=7)
    axes.plot([], [], "kv", label="limits after 1 s")
    axes.set(yscale="log", xlabel="time, s", ylabel="largest distance from PyBullet, m")
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, ncols=3, loc="outside lower center")
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write the plot {path}: {error}") from error
    finally:
        pyplot.close(figure)


def as_json(found: list[Track]) -> dict[str, Any]:
    """The result for programs."""

    def worst(kind: str) -> float:
        return max(track.at_one_second for track in found if track.kind == kind)

    return {
        "position_error_m": {"float64": worst("float64"), "float32": worst("float32")},
        "disturbed_error_m": worst("disturbed"),
        "limits_m": LIMITS,
        "cases": [
            {
                "case": track.case,
                "kind": track.kind,
                "time_s": track.time_s.round(4).tolist(),
                "error_m": track.error_m.tolist(),
            }
            for track in found
        ],
    }
