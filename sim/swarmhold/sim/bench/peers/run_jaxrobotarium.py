"""JaxRobotarium: scenario Navigation, robots that drive to their goals, many teams in one scan."""

import os

# One thread: process time counts them all, and a second one brings nothing here.
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
    + os.environ.get("XLA_FLAGS", "")
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jaxmarl  # noqa: F401, I001 - first, for JaxRobotarium imports it in a circle
import jax
import jax.numpy as jnp
from _protocol import options, serve
from jaxrobotarium.scenarios.navigation import Navigation
from rps_jax.utilities.barrier_certificates2 import create_robust_barriers

STEPS, CHUNK = 50, 10  # of an episode, of one call

given = options(robots=3, teams=64, barrier=1, each_tick=1, seconds=1.0)
robots, teams = given["robots"], given["teams"]
env = Navigation(
    robots,
    max_steps=STEPS - 1,  # it plays one more
    action_type="Continuous",  # so that the controller is given the goal itself
    controller={
        "controller": "clf_uni_position",
        "barrier_fn": "robust_barriers" if given["barrier"] else None,
    },
    update_frequency=30,
    eval=bool(given["each_tick"]),
)


def one(key, state):
    """A step of one team."""
    goals = {agent: state.p_pos[robots + i, :2] for i, agent in enumerate(env.agents)}
    seen, state, reward, _, info = env.step(key, state, goals)
    return state, (seen, reward, info["success_rate"])


@jax.jit
def advance(key, state):
    """CHUNK steps of all teams; sums keep the compiler from leaving anything out."""

    def tick(carry, _):
        key, state = carry
        key, now = jax.random.split(key)
        state, made = jax.vmap(one)(jax.random.split(now, teams), state)
        return (key, state), sum(jnp.sum(leaf) for leaf in jax.tree.leaves(made))

    return jax.lax.scan(tick, (key, state), None, CHUNK)


def slowed():
    """Two robots that face each other 30 cm apart are slowed to 0.101 m/s, if pairs count at all.

    The forward speed (m/s) that the filter leaves of 0.2.
    """
    poses = jnp.array([[-0.15, 0.15], [0.0, 0.0], [0.0, jnp.pi]])
    wished = jnp.array([[0.2, 0.2], [0.0, 0.0]])
    return float(create_robust_barriers(safety_radius=0.2)(wished, poses)[0].max())


first, key = jax.random.split(jax.random.PRNGKey(0))
_, state = jax.vmap(env.reset)(jax.random.split(first, teams))
# Robots that have arrived cost its solver less: spread the teams over the phases of an episode.
state = state.replace(step=jnp.arange(teams, dtype=jnp.int32) * STEPS // teams)


def step():
    """Go on from where the last call ended."""
    global key, state
    (key, state), total = advance(key, state)
    total.block_until_ready()


notes = []
if given["barrier"] and slowed() > 0.11:
    notes.append(
        "its rps_jax ignores the barrier's constraint matrix, so it filters nothing; "
        "install the commit that its submodule names"
    )
for _ in range(STEPS // CHUNK):  # until all have; the second call may compile once more
    step()
serve(
    step, CHUNK * teams, given["seconds"],
    "jaxrobotarium", "jaxmarl", "jax", "jaxopt", "numpy", notes=notes,
)  # fmt: skip
