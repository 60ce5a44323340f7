"""The torch form of a team is the team, and climbing its gradient does harm in the real one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.observe import observe
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Kinematics, Surroundings
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.evaluate import run_episodes, torch_policy
from swarmhold.policies.evaluate_cli import main as evaluate_main
from swarmhold.policies.redteam import gradient, twin
from swarmhold.policies.redteam.attack import draw_attackers
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.scenarios.base import Layout
from swarmhold.sim.scenarios.rendezvous import Rendezvous

E, N, SEED = 2, 5, 4
NOBODY: list[list] = [[] for _ in range(E)]


class Near(Rendezvous):
    """A short meeting of robots that start near each other."""

    episode_s = 8.0

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        return Layout(
            rng.uniform(-0.2, 0.2, (robots, 2)),
            rng.uniform(-np.pi, np.pi, robots),
            np.zeros((0, 2)),
            np.zeros(0),
        )


class Centroid(nn.Module):
    """E-pucks that drive to the weighted centroid of the team: the heuristic, with gradients."""

    memory = 0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bound", torch.tensor(policy_spec("epuck").action_bound))

    def forward(self, own: Tensor, team: Tensor, health: Tensor, *_: Tensor) -> tuple:
        total = 1.0 + health.sum(dim=-1, keepdim=True)
        x, y = ((team[..., :2] * health[..., None]).sum(dim=1) / total).unbind(-1)
        sign = torch.where(x < 0, -1.0, 1.0)
        distance = torch.sqrt(x**2 + y**2 + 1e-9)
        bearing = torch.atan2(sign * y, sign * x + 1e-9)
        forward = sign * (4.0 * distance).clamp(max=float(self.bound[0]))
        forward = forward * torch.cos(bearing).clamp(min=0.0) ** 2
        turn = (4.0 * bearing).clamp(-self.bound[1], self.bound[1])
        turn = turn * (distance / 0.06).clamp(max=1.0)
        return torch.stack([forward, turn], dim=-1), health


def random_pose(rng: np.random.Generator, shape: tuple[int, ...]) -> Kinematics:
    draw = (rng.normal(size=(*shape, 3)), rng.normal(size=(*shape, 3)))
    return Kinematics(*draw, rng.uniform(-4, 4, shape), rng.normal(size=shape))


def in_torch(values) -> tuple[Tensor, ...]:
    parts = (np.asarray(getattr(values, field.name)) for field in fields(values))
    return tuple(torch.from_numpy(part) for part in parts)


@pytest.mark.parametrize("marks", [0, 4])
def test_the_observation_is_the_robots_own(marks: int) -> None:
    rng, spec = np.random.default_rng(marks), policy_spec("epuck")
    own, team = random_pose(rng, (3, 7)), random_pose(rng, (3, 7, 5))
    last, age = rng.uniform(-1, 1, (3, 7, 2)), rng.uniform(0, 3, (3, 7, 5))
    around = Surroundings(
        rng.normal(size=(3, 7, marks, 3)),
        rng.uniform(0, 1, (3, 7, marks)),
        rng.integers(0, 3, (3, 7, marks)),
        rng.uniform(0, 1, (3, 7, marks)),
        rng.uniform(0, 1, (3, 7, marks)),
        rng.random((3, 7, marks)) < 0.6,
    )
    home = rng.normal(size=3)
    expected = observe(spec, own, last, team, age, around, home)
    found = twin.observe(
        twin.Pose(*in_torch(own)),
        torch.from_numpy(last),
        twin.Pose(*in_torch(team)),
        torch.from_numpy(age),
        twin.Marks(*in_torch(around)),
        torch.from_numpy(home),
    )
    for field, value in zip(fields(expected), found, strict=True):
        np.testing.assert_allclose(value.numpy(), getattr(expected, field.name), atol=1e-5)


@pytest.mark.parametrize(
    ("scenario", "robot"),
    [("rendezvous", "epuck"), ("coverage", "epuck"), ("coverage", "crazyflie")],
)
def test_the_twin_is_the_environment(scenario: str, robot: str) -> None:
    env = SwarmEnv(scenario, robot, E, N, seed=SEED)
    torch.manual_seed(0)
    actor = HealthAttentionActor(env.spec, width=16, heads=2)
    with torch.no_grad():
        actor.head[-1].weight.mul_(20.0)  # an opinion on everything that it sees
    robots = draw_attackers(SEED, E, N, 1)
    rng = np.random.default_rng(0)
    plan = rng.uniform(-1, 1, (15 if robot == "epuck" else 6, E, N, 2))
    attack = gradient.Planned("plan", robots, plan)
    env.faults.hijacked = robots
    step = env.reset(episode=0)
    team, policy = twin.TeamTwin(env, actor, robots), torch_policy(actor)
    now = team.start()
    with torch.no_grad():
        for wish in plan:
            action = policy(step.observation, np.ones((E, N, N - 1)))
            step = env.step(attack.act(env, step, action))
            now = team.advance(now, torch.from_numpy(wish))
    place = now.state[..., :3].numpy()
    np.testing.assert_allclose(place, step.truth.position, atol=1e-4)
    np.testing.assert_allclose(team.error(now).numpy(), step.outcome.error, atol=1e-4)


def test_climbing_raises_what_it_climbs() -> None:
    env = SwarmEnv(Near(), "epuck", E, N, seed=SEED)
    robots = draw_attackers(SEED, E, N, 1)
    env.reset(episode=0)
    team = twin.TeamTwin(env, Centroid(), robots)
    start, wish = team.start(), torch.zeros(10, E, N, 2, dtype=torch.float64)
    better = gradient.climb(team, start, wish, 3)
    with torch.no_grad():
        before, after = gradient.harm(team, start, wish), gradient.harm(team, start, better)
    assert (after > before).all()
    assert (better[:, ~robots] == wish[:, ~robots]).all(), "only attackers are moved"


def test_the_plan_does_harm_where_it_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HORIZON", 10), ("COMMIT", 10), ("STEPS", 2)):
        monkeypatch.setattr(gradient, name, value)
    env, policy = SwarmEnv(Near(), "epuck", E, N, seed=SEED), torch_policy(Centroid())
    robots = draw_attackers(SEED, E, N, 1)
    attack = gradient.gradient_attack(env, Centroid(), robots, seed=0)

    def play(source: str, attack: gradient.Planned | None) -> tuple[float, float]:
        out = run_episodes(env, policy, source, NOBODY, HealthSettings(), 0, attack=attack)
        return out.error_m.mean(), out.returns.mean()

    usual, attacked = play("none", None), play("none", attack)
    ignored = play("oracle", attack)
    assert attacked[0] > 1.5 * usual[0]
    assert attacked[1] < ignored[1]
    assert ignored[0] < 0.7 * attacked[0]


def test_scenarios_without_torch_form_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    env = SwarmEnv("pursuit", "crazyflie", 1, 4)
    with pytest.raises(ConfigError, match="not for pursuit of crazyflie"):
        twin.check_twin(env)
    words = [
        "heuristic",
        "--robots",
        "4",
        "--episodes",
        "1",
        "--red-team",
        "--levels",
        "2",
        "--json",
    ]
    with pytest.raises(ConfigError, match="no attack is left"):
        evaluate_main(words)
    assert "level 2 is left out" in capsys.readouterr().err
