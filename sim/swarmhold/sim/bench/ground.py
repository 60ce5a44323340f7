"""`swarmhold bench ground`: robots that drive to goals on the Robotarium, against its simulators.

A step is one decision of a whole team: thirty ticks of 33 ms with the position controller, then
observation, reward, violations, and a new start after fifty steps: a step of the scenario
Navigation of JaxRobotarium (Jain et al., arXiv 2505.06771). Controller and barrier act in every
tick, as on the testbed. JaxRobotarium does so only where it evaluates; where it trains, both act
once a step and the command is held. Rates named "held" are of that lighter step, on either side.
Ours solves the barrier's program exactly; where a constraint binds, JaxRobotarium's solver mostly
stops with one still missed (see `swarmhold.sim.jaxrobotarium.check`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.sim.bench.measure import Round, Say, interleave, machine, ratios_of, repeat, spread
from swarmhold.sim.bench.peer import Peer
from swarmhold.sim.ground.engine import ANGULAR_GAIN, LINEAR_GAIN, Robotarium, filter_wheels
from swarmhold.sim.ground.solver import compiled

TICKS = 30  # of a step
STEPS = 50  # of an episode
GOAL_RADIUS = 0.1  # m
CELLS, GAP = (5, 3), 0.5  # places to start and to go to: a grid, m apart, as the peer's
MOST_ROBOTS = CELLS[0] * CELLS[1] // 2  # each needs two cells
TEAMS = 64  # of the peer

# Name of the rate: teams, whether the barrier filters, whether anything acts in every tick.
SUBJECTS = {
    "ground": (TEAMS, True, True),
    "ground_one": (1, True, True),
    "ground_many": (1024, True, True),
    "ground_held": (TEAMS, True, False),
    "open": (TEAMS, False, True),
    "open_one": (1, False, True),
    "open_many": (1024, False, True),
    "open_held": (TEAMS, False, False),
}
# Name of the rate: the peer and what its script is told.
PEERS: dict[str, tuple[str, dict[str, int]]] = {
    "jaxrobotarium": ("jaxrobotarium", {"teams": TEAMS}),
    "jaxrobotarium_held": ("jaxrobotarium", {"teams": TEAMS, "each_tick": 0}),
    "jaxrobotarium_open": ("jaxrobotarium", {"teams": TEAMS, "barrier": 0}),
    "jaxrobotarium_open_held": ("jaxrobotarium", {"teams": TEAMS, "barrier": 0, "each_tick": 0}),
    "rps": ("rps", {}),
    "rps_held": ("rps", {"each_tick": 0}),
    "rps_open": ("rps", {"barrier": 0}),
}


@compiled()
def _judge_teams(poses, goals, collided, outside, seen, reward, success):
    """Observations (x, y, yaw, way to the goal), rewards (minus its length), and who is there."""
    for e in range(poses.shape[0]):
        there = True
        for i in range(poses.shape[1]):
            seen[e, i, :3] = poses[e, i]
            dx, dy = goals[e, i, 0] - poses[e, i, 0], goals[e, i, 1] - poses[e, i, 1]
            seen[e, i, 3], seen[e, i, 4] = dx, dy
            away = math.sqrt(dx * dx + dy * dy)
            reward[e, i] = -away
            there = there and away < GOAL_RADIUS
        success[e] = there and not (collided[e].any() or outside[e].any())


class Course:
    """E teams that drive from cell to cell.

    Attributes:
        sim: the ground engine.
        seen: (E, N, 5) observations: pose, and the way to the goal (m).
        reward: (E, N) minus the distance to the goal, m.
        success: (E,) everybody is at the goal, nobody collided or left.
    """

    def __init__(
        self, n_envs: int, n_robots: int, barrier: bool, each_tick: bool = True, seed: int = 0
    ) -> None:
        """Start the first episode.

        Args:
            n_envs: E.
            n_robots: N, at most MOST_ROBOTS.
            barrier: filter the commands.
            each_tick: control and filter every tick; otherwise once a step, and hold the command.
            seed: of places and headings.
        """
        self.sim = Robotarium(n_envs, n_robots, barrier and each_tick)
        self._barrier, self._each_tick = barrier, each_tick
        self._rng, self._steps = np.random.default_rng(seed), 0
        self._goals = np.zeros((n_envs, n_robots, 2))
        self.seen = np.zeros((n_envs, n_robots, 5))
        self.reward, self.success = np.zeros((n_envs, n_robots)), np.zeros(n_envs, bool)
        self.reset()

    def reset(self) -> None:
        """Draw distinct cells to start from and to go to, and headings."""
        shape = self.reward.shape
        order = self._rng.random((shape[0], CELLS[0] * CELLS[1])).argsort(axis=1)
        cells = np.stack([order % CELLS[0], order // CELLS[0]], axis=-1)
        spots = GAP * (cells - (np.asarray(CELLS) - 1) / 2.0)
        yaw = self._rng.uniform(-math.pi, math.pi, shape)
        self.sim.reset(np.concatenate([spots[:, : shape[1]], yaw[..., None]], axis=-1))
        self._goals[:] = spots[:, shape[1] : 2 * shape[1]]
        self._steps = 0

    def step(self) -> None:
        """One step of all teams."""
        sim = self.sim
        if self._each_tick:
            sim.drive_to(self._goals, TICKS)
        else:
            sim.drive(self._command(), TICKS)
        marks = (sim.collided, sim.outside)
        _judge_teams(sim.poses, self._goals, *marks, self.seen, self.reward, self.success)
        self._steps += 1
        if self._steps == STEPS:
            self.reset()

    def _command(self) -> Float:
        """(E, N, 2) m/s and rad/s towards the goals from here, filtered if there is a barrier."""
        poses = self.sim.poses
        way, yaw = self._goals - poses[..., :2], poses[..., 2]
        c, s = np.cos(yaw), np.sin(yaw)
        ahead, aside = way[..., 0] * c + way[..., 1] * s, way[..., 1] * c - way[..., 0] * s
        command = np.stack([LINEAR_GAIN * ahead, ANGULAR_GAIN * aside], axis=-1)
        return filter_wheels(poses, command)[0] if self._barrier else command


def subject(name: str, robots: int, seconds: float) -> Round:
    """A round of one of `SUBJECTS`."""
    teams, barrier, each_tick = SUBJECTS[name]
    return repeat(Course(teams, robots, barrier, each_tick).step, teams, seconds)


def bench_ground(
    peers: dict[str, Path], robots: int, rounds: int, seconds: float, say: Say
) -> dict[str, Any]:
    """Measure.

    Args:
        peers: Python interpreters by name; "jaxrobotarium" and "rps" are known.
        robots: of a team, at most MOST_ROBOTS.
        rounds: interleaved rounds.
        seconds: CPU-seconds of each subject in a round.
        say: told how it goes, and what is wrong with a peer.

    Returns:
        `ratios` (medians), their spread, rates, what the peers say of themselves, the machine.
    """
    runs = {name: subject(name, robots, seconds) for name in SUBJECTS}
    opened: dict[str, Peer] = {}
    try:
        for name, (project, options) in PEERS.items():
            if project not in peers:
                if name == project:
                    say(f"{name}: left out; give --peer {name}=PATH_OF_ITS_PYTHON to compare")
                continue
            peer = Peer(project, peers[project], robots=robots, seconds=seconds, **options)
            opened[name] = peer
            runs[name] = peer.round
            if name == project:
                for line in peer.notes:
                    say(f"{name}: {line}")
        rates = interleave(runs, rounds, say)
    finally:
        for peer in opened.values():
            peer.close()
    return {
        **compared(rates),
        "robots": robots,
        "machine": machine(),
        "peers": {peer.name: peer.versions for peer in opened.values()},
        "notes": {peer.name: peer.notes for peer in opened.values()},
        "rounds": rounds,
    }


def compared(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Ratios, their spread, and the rates that they come from."""
    pairs = {
        f"{ours}_over_{theirs.replace('_open', '')}": (ours, theirs)
        for theirs in PEERS
        for ours in SUBJECTS
        if ("open" in ours) == ("open" in theirs) and ("held" in theirs or "held" not in ours)
    }
    return {
        **ratios_of(rates, pairs),
        "env_steps_per_cpu_s": {name: spread(values) for name, values in rates.items()},
    }
