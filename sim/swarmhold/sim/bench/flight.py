"""`swarmhold bench sim`: hovering quadrotors, 240 Hz physics, 48 Hz control, against peers.

A step is one control step of a whole team in a full environment: physics, observation, reward,
collision, ends and new starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.sim.bench.measure import Round, Say, interleave, machine, ratios_of, repeat, spread
from swarmhold.sim.bench.peer import Peer
from swarmhold.sim.flight import FlightSim, FlightTask

DRONES = 4
# Name of the ratio: backend and teams side by side.
SUBJECTS = {
    "pybullet_python": ("pybullet", 1),
    "pybullet_python_batched": ("pybullet", 16),
    "pybullet_native": ("pybullet-native", 1),
    "pybullet_native_batched": ("pybullet-native", 32),
    "batch_env": ("batched", 1024),
    "numpy_env": ("numpy", 1024),
    "mixed_env": ("mixed", 1024),
}
IN_CONTACT = 0.05  # share of the teams of "mixed_env" that rest on the ground
TEAMS = (1, 16, 256, 1024, 4096)
ROBOTS = (2, 4, 8, 16, 32, 50)


def subject(name: str, seconds: float) -> tuple[FlightSim, Round]:
    """One of `SUBJECTS`, and a round of it."""
    backend, teams = SUBJECTS[name]
    task = FlightTask(end_on_touch=False, reach=1e9) if backend == "mixed" else None
    sim = FlightSim(teams, DRONES, backend, drag=False, task=task)
    hover = np.zeros((teams, DRONES, 4), sim.observation.dtype)
    if backend == "mixed":
        grounded = np.arange(teams) < IN_CONTACT * teams
        hover[grounded] = -1.0
        for _ in range(120):  # until they lie there
            sim.step(hover)
    return sim, repeat(lambda: sim.step(hover), teams, seconds)


def bare_step(seconds: float) -> Round:
    """A round of the batched twin's physics alone, nothing observed or judged."""
    sim = FlightSim(1024, DRONES, drag=False)
    hover = np.zeros((1024, DRONES, 4), np.float32)
    return repeat(lambda: sim.move(hover), 1024, seconds)


def resets(seconds: float) -> dict[str, Round]:
    """Rounds that count resets of a team: of one server by itself, and of many teams at once."""
    one = FlightSim(1, DRONES, "pybullet-native")
    many = FlightSim(1024, DRONES)
    everybody = np.ones(1024, bool)
    return {
        "reset_one": repeat(lambda: one.reset(seed=1), 1, seconds),
        "reset_batch": repeat(lambda: many.reset(everybody, seed=1), 1024, seconds),
    }


def bench_sim(peers: dict[str, Path], rounds: int, seconds: float, say: Say) -> dict[str, Any]:
    """Measure.

    Args:
        peers: Python interpreters by name; "gpd" (gym-pybullet-drones) and "crazyflow" are known.
        rounds: interleaved rounds.
        seconds: CPU-seconds of each subject in a round.
        say: told how it goes.

    Returns:
        `ratios` against gym-pybullet-drones (medians), their spread, rates, and the machine.
    """
    runs: dict[str, Round] = {}
    sims = []
    for name in SUBJECTS:
        sim, runs[name] = subject(name, seconds)
        sims.append(sim)
    runs["batch_physics"] = bare_step(seconds)
    runs.update(resets(seconds / 4))
    opened = []
    try:
        for name, options in (
            ("gpd", {"drones": DRONES, "seconds": seconds}),
            ("gpd_reset", {"drones": DRONES, "seconds": seconds, "mode": "reset"}),
            ("crazyflow", {"drones": DRONES, "seconds": seconds, "worlds": 1024}),
        ):
            project = name.split("_")[0]
            if project not in peers:
                say(f"{name}: left out; give --peer {project}=PATH_OF_ITS_PYTHON to compare")
                continue
            peer = Peer(project, peers[project], **options)
            opened.append(peer)
            runs[name] = peer.round
        rates = interleave(runs, rounds, say)
    finally:
        for close in (*(peer.close for peer in opened), *(one.close for one in sims)):
            close()
    versions = {peer.name: peer.versions for peer in opened}
    return {**compared(rates), "machine": machine(), "peers": versions, "rounds": rounds}


def compared(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Ratios, their spread, and the rates that they come from."""
    pairs = {
        **{name: (name, "gpd") for name in SUBJECTS},
        "batch_physics_over_crazyflow_step": ("batch_physics", "crazyflow"),
        "reset": ("reset_batch", "gpd_reset"),
        "reset_one_team": ("reset_one", "gpd_reset"),
        "batch_env_over_crazyflow_step": ("batch_env", "crazyflow"),
        "batch_env_over_batched_pybullet": ("batch_env", "pybullet_python_batched"),
    }
    return {
        **ratios_of(rates, pairs),
        "team_steps_per_cpu_s": {name: spread(values) for name, values in rates.items()},
    }


def cost_curve(seconds: float, say: Say) -> list[dict[str, float]]:
    """Rate and memory of the batched environment over team size and number of teams."""
    rows = []
    for robots in ROBOTS:
        for teams in TEAMS:
            sim = FlightSim(teams, robots)
            hover = np.zeros((teams, robots, 4), np.float32)
            sim.step(hover)
            steps, spent = repeat(lambda: sim.step(hover), teams, seconds)()  # noqa: B023
            held = sim.blocks.data.nbytes + sim.observation.nbytes + sim.reward.nbytes
            rows.append(
                {
                    "robots": robots,
                    "teams": teams,
                    "team_steps_per_cpu_s": steps / spent,
                    "robot_steps_per_cpu_s": robots * steps / spent,
                    "mebibytes": held / 2**20,
                }
            )
        say(f"{robots} robots: {rows[-1]['robot_steps_per_cpu_s']:,.0f} robot-steps per CPU-s")
    return rows


def plot_curve(rows: list[dict[str, float]], path: Path) -> None:
    """Draw the cost curve.

    Raises:
        ModuleNotFoundError: matplotlib is missing.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for teams in TEAMS:
        part = [row for row in rows if row["teams"] == teams]
        robots = [row["robots"] for row in part]
        left.plot(robots, [row["robot_steps_per_cpu_s"] for row in part], "o-", label=f"{teams}")
        right.plot(robots, [row["mebibytes"] for row in part], "o-", label=f"{teams}")
    left.set(ylabel="robot-steps per CPU-second, full environment")
    right.set(ylabel="memory of states and observations, MiB")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="robots in a team", xticks=ROBOTS)
        axes.set_xticklabels([str(count) for count in ROBOTS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    left.legend(title="teams")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
