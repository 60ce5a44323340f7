"""crazyflow: the bare step of hovering quadrotors on JAX, nothing observed or judged."""

import jax
from _protocol import options, serve
from crazyflow.control import Control
from crazyflow.sim import Dynamics, Sim
from crazyflow.sim.integration import Integrator

given = options(drones=4, seconds=1.0, worlds=1024)
sim = Sim(
    n_worlds=given["worlds"],
    n_drones=given["drones"],
    dynamics=Dynamics.first_principles,
    control=Control.rotor_vel,
    integrator=Integrator.symplectic_euler,
    freq=240,
    device="cpu",
)
sim.reset()


def step():
    """One control step at 48 Hz: five of physics."""
    sim.step(5)
    jax.block_until_ready(sim.data.states.pos)


serve(step, given["worlds"], given["seconds"], "crazyflow", "jax", "numpy")
