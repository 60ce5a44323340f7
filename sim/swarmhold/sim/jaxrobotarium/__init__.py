"""JaxRobotarium beside our own Robotarium: its scenarios as environments, our policies in them.

An optional adapter. Nothing of it is imported before `probe` has found that all is there::

    env = JaxRobotariumEnv("navigation", n_envs=64, continuous=True, max_steps=400)
    print(evaluate(env, to_own_landmark, episodes=64))

`python -m swarmhold.sim.jaxrobotarium --check` tells what is installed, and how far its physics
and its barrier are from ours.
"""

from swarmhold.sim.jaxrobotarium.env import SCENARIOS, JaxRobotariumEnv
from swarmhold.sim.jaxrobotarium.install import Installed, probe
from swarmhold.sim.jaxrobotarium.policy import evaluate, to_own_landmark

__all__ = [
    "SCENARIOS",
    "Installed",
    "JaxRobotariumEnv",
    "evaluate",
    "probe",
    "to_own_landmark",
]
