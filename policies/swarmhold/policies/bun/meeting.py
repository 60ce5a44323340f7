"""The scenario `rendezvous` for joint networks that know no common place: who hears whom, meets.

Quadrotors on the twin of `bun.navigation`. A robot is not told the way home, by which all could
meet without a word; what it knows of others is their tokens, and an edge is a subscription.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.actor import scales
from swarmhold.policies.bun.arms import stream, train
from swarmhold.policies.bun.growth import EdgeGrowth, GrowthRule
from swarmhold.policies.bun.navigation import between, follow, scaled
from swarmhold.policies.bun.network import JointNetwork, Shape
from swarmhold.sim.scenarios.rendezvous import Rendezvous

ROBOT = "crazyflie"
OWN = (
    0,
    1,
)  # of the self token: velocity; to know the last action invites to swing, home to go there
HEARD = 8  # of the teammate token: all but its age
STEPS = 40  # of 0.2 s
NEAREST, PRICE = 0.6, 2.0  # m between centres, from which on coming nearer costs so much a metre
SMOOTH = 0.5  # price of a squared change of the set-point, in shares of its bound
EPISODES, POOL, DROPOUT = 32, 1024, 0.1
FIRST, EVERY = 100, 25  # update of the first edge, and updates from one to the next


class MeetingTwin:
    """Differentiable episodes of a team that is to meet."""

    def __init__(self, robots: int, seed: int) -> None:
        """Draw starts.

        Args:
            robots: N.
            seed: of the pool.
        """
        rng, scenario, spec = np.random.default_rng(seed), Rendezvous(), policy_spec(ROBOT)
        drawn = [scenario.layout(rng, robots, ROBOT).position for _ in range(POOL)]
        self._starts = torch.tensor(np.stack(drawn), dtype=torch.float32)
        self._own = scales(spec.self_fields)[list(OWN)]
        self._heard = scales(spec.team_fields)[:HEARD]
        self._speed = spec.action_bound[0]

    def loss(self, net: JointNetwork, rng: torch.Generator) -> Tensor:
        """Mean distance between robots (m), and what it costs to come too near and to swing."""
        position = self._starts[torch.randint(POOL, (EPISODES,), generator=rng)]
        batch, n = position.shape[:2]
        velocity, action = torch.zeros_like(position), torch.zeros_like(position)
        flat, same = torch.zeros(batch, n, n, 1), torch.eye(n)
        heading = torch.tensor([1.0, 0.0]).expand(batch, n, n, 2)
        total = torch.zeros(())
        for _ in range(STEPS):
            heard = torch.cat([between(position), flat, between(velocity), flat, heading], dim=-1)
            valid = (torch.rand(batch, n, n, generator=rng) >= DROPOUT).float()
            valid = torch.maximum(valid, same)
            before = action
            action = net(scaled(velocity, self._own), scaled(heard, self._heard), valid)
            total = total + SMOOTH * (action - before).square().sum(dim=-1).mean()
            position, velocity = follow(position, velocity, self._speed * action)
            gaps = between(position).square().sum(dim=-1).add(1e-6).sqrt() + NEAREST * same
            total = total + gaps.mean() + PRICE * torch.relu(NEAREST - gaps).sum(dim=-1).mean()
        return total / STEPS


def meet(
    robots: int, edges: int, updates: int, seed: int, say: Callable[[str], None]
) -> tuple[JointNetwork, EdgeGrowth]:
    """Train a team under an edge budget.

    Args:
        robots: N.
        edges: budget.
        updates: gradient steps.
        seed: of everything.
        say: told what opened.
    """
    torch.set_num_threads(1)
    twin, rng = MeetingTwin(robots, seed), stream(seed, "training")
    net = JointNetwork(Shape(robots, len(OWN), HEARD), stream(seed, "weights"))
    growth = EdgeGrowth(GrowthRule(edges, start=FIRST, every=EVERY))
    train(net, lambda: twin.loss(net, rng), growth, updates)
    for update, word, receiver, sender in growth.story:
        say(f"update {update}: {word} {sender} to {receiver}")
    return net.requires_grad_(False), growth
