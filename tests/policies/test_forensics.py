"""Patient-0's stages against what is known by hand, and the toy on which they are scored."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from swarmhold.export.bench import main as bench
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.forensics.contagion import check_smooth, derivatives, rates, trace_back
from swarmhold.policies.forensics.detect import (
    NOBODY,
    attribute,
    reference_of,
    residual_sigmas,
    smoothed,
    threshold_at,
)
from swarmhold.policies.forensics.geometry import (
    bending,
    bending_of_graph,
    commitment,
    steepest,
)

LINKS = {1: 0, 2: 1}  # whose value whose action harms, ever more


def chain(_, actions):
    """Q_1 falls with the square of a_0 and Q_2 with that of a_1; Q_0 depends on nobody else."""
    own = 0.5 * actions.sum(dim=-1)
    return torch.stack(
        [own[:, i] - ((actions[:, LINKS[i]] ** 2).sum(dim=-1) if i in LINKS else 0.0)
         for i in range(3)], dim=-1)  # fmt: skip


def test_a_known_chain_is_traced_back():
    actions = torch.rand(8, 3, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    matters, bends = derivatives(chain, torch.zeros(8, 3, 1), actions)
    rate = rates(bends, at=6)
    assert rate[2, 1] == rate[1, 0] == 1.0
    assert trace_back(rate, matters[6], 2) == [0, 1, 2]
    assert trace_back(rate, matters[6], 1) == [0, 1]
    assert trace_back(rate, matters[6], 0) == [0]


def test_a_cycle_ends_the_path():
    rate = np.array([[0.0, 0.0, 0.5], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert trace_back(rate, np.ones((3, 3)), 2) == [0, 1, 2]
    tied = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert trace_back(tied, np.array([[0.0] * 3, [0.0] * 3, [1.0, 2.0, 0.0]]), 2) == [1, 2]


def test_curvature_of_a_quadratic_critic_is_the_analytic_one():
    draw = torch.Generator().manual_seed(1)
    raw = torch.randn(3, 3, 2, 2, generator=draw, dtype=torch.float64)
    matrix = raw + raw.transpose(-1, -2)

    def critic(_, actions):
        return -torch.einsum("bja,ijac,bjc->bi", actions, matrix, actions)

    actions = torch.randn(4, 3, 2, generator=draw, dtype=torch.float64)
    matters, bends = derivatives(critic, torch.zeros(4, 3, 1), actions)
    slope = 2.0 * torch.einsum("ijac,bjc->bija", matrix, actions)  # of -Q
    known = torch.einsum("bija,ijac,bijc->bij", slope, 2.0 * matrix, slope)
    assert np.allclose(matters, slope.norm(dim=-1).numpy())
    assert np.allclose(bends, known.numpy())


def test_kinked_critics_are_refused():
    with pytest.raises(ConfigError, match="ReLU, whose curvature is zero"):
        check_smooth(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    check_smooth(nn.Sequential(nn.Linear(2, 2), nn.Tanh()))


def test_remainders_are_half_the_curvature():
    draw = torch.Generator().manual_seed(2)
    seen = torch.randn(6, 3, generator=draw, dtype=torch.float64)
    bowl = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)

    def act(rows):  # J = diag(2 bowl o): the step goes along the largest entry
        return bowl * rows**2

    slope = (2.0 * bowl * seen).abs()
    steep = steepest(act, seen, rounds=200).abs()
    assert torch.allclose(steep, nn.functional.one_hot(slope.argmax(-1), 3).double(), atol=1e-3)
    known = bowl[slope.argmax(-1)] * 0.01**2
    assert torch.allclose(bending(act, seen, rounds=200), known, rtol=1e-2)

    def graph(rows):
        return act(torch.from_numpy(rows)).numpy()

    told = bending_of_graph(graph, seen.numpy(), np.ones(3))
    assert np.allclose(told, known, rtol=1e-6)
    assert np.all(bending_of_graph(lambda rows: 2.0 * rows, seen.numpy(), np.ones(3)) < 1e-12)


def test_the_commitment_cost_bends_where_a_policy_turns_over():
    def logits(rows):
        return torch.cat([8.0 * rows, -8.0 * rows], dim=-1)

    seen = torch.tensor([[0.02], [0.2], [5.0]], dtype=torch.float64)
    bent = commitment(logits, seen)
    p = torch.softmax(logits(seen), dim=-1).amax(dim=-1)
    slope = 16.0 * (1.0 - p)
    step = (0.01 / slope).clamp(max=0.05)
    half = 0.5 * 256.0 * p * (1.0 - p) * step**2
    assert torch.allclose(bent[:1], half[:1], rtol=0.05)
    assert bent[2] == 0.0  # saturated


def test_moving_average_reference_and_attribution():
    values = np.arange(14.0).reshape(7, 2)
    assert np.allclose(smoothed(values)[2], values[:3].mean(axis=0))
    assert np.allclose(smoothed(values)[6], values[2:7].mean(axis=0))
    runs = np.random.default_rng(0).normal(size=(100, 7, 2))
    usual = reference_of(runs)
    odd = usual.mean + usual.std
    odd[4, 1] = usual.mean[4, 1] + 9.0 * usual.std[4, 1]
    odd[4, 0] = usual.mean[4, 0] + 5.0 * usual.std[4, 0]
    found = attribute(usual.flags(odd, 3.0), usual.sigmas(odd))
    assert found.earliest.all() and found.patient == 1 and found.at == 4
    same = usual.mean + 1e-6
    assert attribute(usual.flags(same, 0.0), same).patient == NOBODY
    calm = np.random.default_rng(1).random((200, 5, 3))
    assert (calm.max(axis=(1, 2)) > threshold_at(calm, 0.05)).mean() == pytest.approx(
        0.05, abs=0.01
    )


def test_the_residual_is_in_sigmas():
    off = residual_sigmas(np.zeros((3, 2, 2)), np.full((3, 2, 2), 0.1), 0.05)
    assert np.allclose(off, 2.0 * 2**0.5)


def test_the_toy_is_solved_and_attacks_are_attributed(capsys):
    assert bench(["autopsy", "--seeds", "1", "--episodes", "60", "--twins", "40", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["detector"]: row for row in told["rows"]}
    twins, residual = (
        rows["stage 1, twins from the same start, K = 3"],
        rows["one-step dynamics residual"],
    )
    assert twins["among"]["value"] >= 0.88
    assert twins["alone"]["value"] < twins["among"]["value"]
    assert residual["alone"]["value"] >= 0.9
    assert residual["delay_steps"] < twins["delay_steps"]
    with pytest.raises(ConfigError, match="at least 2 episodes"):
        bench(["autopsy", "--episodes", "1"])
