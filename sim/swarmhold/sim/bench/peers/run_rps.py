"""The Robotarium's Python simulator: one team that drives to its goals, barrier in every tick."""

import numpy as np
from _protocol import options, serve
from rps.robotarium import Robotarium
from rps.utilities.barrier_certificates import create_uni_barrier_certificate
from rps.utilities.controllers import create_uni_position_controller

TICKS, STEPS = 30, 50  # of a step, of an episode
CELLS, GAP = (5, 3), 0.5

given = options(robots=3, barrier=1, each_tick=1, seconds=1.0)
robots, rng = given["robots"], np.random.default_rng(0)
control = create_uni_position_controller()
guard = create_uni_barrier_certificate() if given["barrier"] else lambda wished, poses: wished


def start():
    """A simulator with robots in distinct cells, and their goals (2, N) in others."""
    order = rng.permutation(CELLS[0] * CELLS[1])[: 2 * robots]
    spots = GAP * (np.stack([order % CELLS[0], order // CELLS[0]]) - np.array([[2.0], [1.0]]))
    yaw = rng.uniform(-np.pi, np.pi, (1, robots))
    sim = Robotarium(
        number_of_robots=robots,
        show_figure=False,
        sim_in_real_time=False,
        skip_initialization=True,
        initial_conditions=np.concatenate([spots[:, :robots], yaw]),
    )
    return sim, spots[:, robots:]


sim, goals = start()
done, everybody = 0, np.arange(robots)


def step():
    """One step: thirty ticks, then what is seen and gained."""
    global sim, goals, done
    for tick in range(TICKS):
        poses = sim.get_poses()
        if given["each_tick"] or tick == 0:
            command = guard(control(poses, goals), poses)
        sim.set_velocities(everybody, command)
        sim.step()
    poses = sim._poses  # get_poses would have to be followed by a step
    way = goals - poses[:2]
    seen = np.concatenate([poses, way])
    done += 1
    if done == STEPS:
        sim, goals = start()
        done = 0
    return seen, -np.linalg.norm(way, axis=0)


serve(step, 1, given["seconds"], "robotarium_python_simulator", "cvxopt", "numpy")
