"""stable-baselines3's PPO on gym-pybullet-drones: hovering quadrotors, learning included."""

import torch
from _protocol import options, serve
from gym_pybullet_drones.envs.MultiHoverAviary import MultiHoverAviary
from gym_pybullet_drones.utils.enums import ActionType, ObservationType
from stable_baselines3 import PPO

STEPS = 256  # of the team between two updates; its default is 2,048, too long for a round

given = options(drones=4, seconds=1.0, epochs=4)
torch.set_num_threads(1)
env = MultiHoverAviary(
    num_drones=given["drones"],
    ctrl_freq=48,
    pyb_freq=240,
    act=ActionType.RPM,
    obs=ObservationType.KIN,
)
model = PPO("MlpPolicy", env, n_steps=STEPS, n_epochs=given["epochs"], seed=0, device="cpu")


def learn():
    """One roll-out and one update."""
    model.learn(STEPS, reset_num_timesteps=False)


serve(learn, STEPS, given["seconds"], "stable-baselines3", "gym-pybullet-drones", "torch")
