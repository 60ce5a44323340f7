"""gym-pybullet-drones: hovering quadrotors, or resets."""

import numpy as np
from _protocol import options, serve
from gym_pybullet_drones.envs.MultiHoverAviary import MultiHoverAviary
from gym_pybullet_drones.utils.enums import ActionType, ObservationType

given = options(drones=4, seconds=1.0, mode="step")
env = MultiHoverAviary(
    num_drones=given["drones"],
    ctrl_freq=48,
    pyb_freq=240,
    act=ActionType.RPM,
    obs=ObservationType.KIN,
)
env.reset(seed=0)
hover = np.zeros((given["drones"], 4), np.float32)


def step():
    """One control step; episodes that end start anew, which is rare here and costs little."""
    terminated, truncated = env.step(hover)[2:4]
    if terminated or truncated:
        env.reset()


action = step if given["mode"] == "step" else env.reset
serve(action, 1, given["seconds"], "gym-pybullet-drones", "pybullet", "numpy")
