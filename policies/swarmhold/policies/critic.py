"""The privileged critic: sees the true state of the whole team, exists only in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.types import Float
from swarmhold.policies.attention import Attention, encoder
from swarmhold.policies.forward import after, attend
from swarmhold.sim.step import Step, Truth

ROBOT_SIZE = 12
LANDMARK_SIZE = 5


class Critic(nn.Module):
    """Value of every robot from truth, permutation invariant (MAPPO, arXiv 2103.01955).

    With the robots' actions and what they see beside their states it is the attention critic of
    AACFT (arXiv 2412.00534).
    """

    def __init__(self, width: int = 64, heads: int = 4, beside: int = 0) -> None:
        """Args: width of tokens, attention heads, and values beside a robot's true state."""
        super().__init__()
        self.encode = encoder(ROBOT_SIZE + beside, width)
        self.encode_landmark = encoder(LANDMARK_SIZE, width)
        self.team = Attention(width, heads)
        self.marks = Attention(width, heads)
        self.head = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, robots: Tensor, present: Tensor, marks: Tensor, real: Tensor) -> Tensor:
        """Values.

        Args:
            robots: (B, N, ROBOT_SIZE + beside) true states, and what stands beside them.
            present: (B, N) robots that are attended to.
            marks: (B, L, LANDMARK_SIZE) landmarks, L at least 1.
            real: (B, L) landmarks that exist.

        Returns:
            (B, N) normalised values.
        """
        tokens = self.encode(robots)
        team = self.team
        asked, key, value = team.query(tokens), team.key(tokens), team.value(tokens)
        mates = attend(team, asked, key, value, (present > 0.5).float())
        spots = torch.relu(self.encode_landmark[0](marks))
        maps = [self.marks.key, self.marks.value]
        key, value = after(maps, self.encode_landmark[2], spots)
        seen = attend(self.marks, self.marks.query(tokens), key, value, (real > 0.5).float())
        values: Tensor = self.head(torch.cat([tokens, mates, seen], dim=-1))
        return values[..., 0]


class JointCritic(nn.Module):
    """Value of every robot from all states and actions in fixed places (MADDPG, 1706.02275)."""

    def __init__(self, robots: int, marks: int, beside: int, width: int = 128) -> None:
        """Args: largest team, landmarks (at least 1), values beside a state, and the width."""
        super().__init__()
        size = robots * (ROBOT_SIZE + beside) + marks * LANDMARK_SIZE
        self.net = nn.Sequential(
            *(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
            nn.Linear(width, robots),
        )

    def forward(self, robots: Tensor, present: Tensor, marks: Tensor, real: Tensor) -> Tensor:
        """Values (B, N); arguments as in `Critic.forward`."""
        known = (robots * present[..., None]).flatten(1)
        values: Tensor = self.net(torch.cat([known, (marks * real[..., None]).flatten(1)], dim=-1))
        return values


class SharedCritic(nn.Module):
    """Value of a robot on top of the actor's features: encoders and attention are shared."""

    def __init__(self, features: int, insight: int = 3 * ROBOT_SIZE, width: int = 64) -> None:
        """Args: sizes of the actor's features and of the truth beside them, and the width."""
        super().__init__()
        self.encode = nn.Linear(insight, width)
        self.head = nn.Sequential(nn.Linear(features + width, width), nn.ReLU())
        self.value = nn.Linear(width, 1)

    def forward(self, features: Tensor, insight: Tensor) -> Tensor:
        """Values.

        Args:
            features: (..., F) what the actor's head sees.
            insight: (..., I) truth about the robot and the team, see `samples.insight`.

        Returns:
            (...) normalised values.
        """
        known = torch.relu(self.encode(insight))
        values: Tensor = self.value(self.head(torch.cat([features, known], dim=-1)))
        return values[..., 0]


def critic_inputs(step: Step, received: Float, half_width: float) -> dict[str, np.ndarray]:
    """Arrays for the critic from truth and from the weights that robots received.

    Args:
        step: the environment's step.
        received: (E, N) mean weight that others give to each robot.
        half_width: m, for scaling.

    Returns:
        robots (E, N, ROBOT_SIZE), present (E, N), marks (E, L, LANDMARK_SIZE), real (E, L).
    """
    truth = step.truth
    marks = truth.landmarks
    n_envs, count = marks.mask.shape
    # Absent robots are parked far away; their tokens are masked, keep them finite and small.
    place = np.clip(truth.position[..., :2] / half_width, -3.0, 3.0)
    robots = np.concatenate(
        [
            place,
            truth.velocity[..., :2],
            np.cos(truth.yaw)[..., None],
            np.sin(truth.yaw)[..., None],
            truth.healthy[..., None],
            received[..., None],
            np.broadcast_to(truth.healthy.mean(axis=1)[:, None, None], (*received.shape, 1)),
            _own_landmark(truth, half_width),
        ],
        axis=-1,
    )
    spots = np.zeros((n_envs, max(count, 1), LANDMARK_SIZE), np.float32)
    real = np.zeros((n_envs, max(count, 1)), np.float32)
    if count:
        spots[..., :2] = marks.position / half_width
        spots[..., 2], spots[..., 3], spots[..., 4] = marks.value, marks.rank(), marks.mask
        real[...] = marks.mask
    return {
        "robots": robots.astype(np.float32),
        "present": truth.present.astype(np.float32),
        "marks": spots,
        "real": real,
    }


def _own_landmark(truth: Truth, half_width: float) -> Float:
    """(E, N, 3) way to the landmark that a robot alone sees, and 1; zeros where there is none."""
    robots = truth.position.shape[1]
    mine = (truth.owners[:, None] == np.arange(robots)[:, None]) & truth.landmarks.mask[:, None]
    found = mine.any(axis=-1)
    if not mine.shape[-1]:
        return np.zeros((*found.shape, 3))
    which = mine.argmax(axis=-1)
    goal = np.take_along_axis(truth.landmarks.position, which[..., None], axis=1)
    way = np.clip((goal - truth.position[..., :2]) / half_width, -3.0, 3.0)
    return np.concatenate([way, np.ones((*found.shape, 1))], axis=-1) * found[..., None]
