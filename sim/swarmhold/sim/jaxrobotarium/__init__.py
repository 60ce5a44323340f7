"""JaxRobotarium beside our own Robotarium: its scenarios as environments, our policies in them.

An optional adapter. Nothing of JaxRobotarium is imported before it is needed::

    env = JaxRobotariumEnv("warehouse", n_envs=64)            # to train in
    seen = env.reset(seed=0)                                  # (64, 6, 18)
    seen, reward, done, info = env.step(np.ones((64, 6)))     # everybody up
    print(evaluate(navigation(64, 3), to_own_landmark, 64))   # a policy of ours

`python -m swarmhold.sim.jaxrobotarium --check` tells what is installed, and how far its physics
and its barrier are from ours; `--play BUNDLE` plays an exported policy there, which
`swarmhold evaluate POLICY --simulator jaxrobotarium` does with checkpoints as well.
"""

from swarmhold.sim.jaxrobotarium.env import SCENARIOS, JaxRobotariumEnv
from swarmhold.sim.jaxrobotarium.install import Installed, probe
from swarmhold.sim.jaxrobotarium.policy import evaluate, navigation, to_own_landmark

__all__ = [
    "SCENARIOS",
    "Installed",
    "JaxRobotariumEnv",
    "evaluate",
    "navigation",
    "probe",
    "to_own_landmark",
]
