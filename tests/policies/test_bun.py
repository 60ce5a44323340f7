"""Sparse joint policies: what opens, what it costs, and that opening alone changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from swarmhold.export.bench import main
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.bun import navigation, navigation_study
from swarmhold.policies.bun.arms import Study, run_arm, study_of, train
from swarmhold.policies.bun.closure import closure_of
from swarmhold.policies.bun.cost import cost_of
from swarmhold.policies.bun.growth import EdgeGrowth, GrowthRule, NoGrowth, WeightGrowth
from swarmhold.policies.bun.hidden_goal import OBSERVED, hidden_goal
from swarmhold.policies.bun.navigation import HEARD, OWN, NavigationTwin, judge
from swarmhold.policies.bun.network import JointNetwork, Shape

SMALL = Shape(3, 4, 4, (6, 5))


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(shape: Shape, batch: int = 7, seed: int = 1) -> tuple[Tensor, Tensor]:
    own = torch.randn(batch, shape.robots, shape.own, generator=stream(seed))
    heard = torch.randn(batch, shape.robots, shape.robots, shape.heard, generator=stream(seed + 1))
    return own, heard


def dense_twin(net: JointNetwork, own: Tensor, heard: Tensor, valid: Tensor) -> tuple[Tensor, int]:
    """The same with one matrix a layer, and how many products it takes not to multiply by 0."""
    n, products = net.shape.robots, 0
    h = torch.zeros(len(own), n, net.shape.hidden[0]).double()
    for i in range(n):
        h[:, i] += own[:, i] @ net.own[i].T + net.biases[0][i]
        products += net.own[i].numel()
        for j in range(n):
            said = torch.cat([heard[:, i, j], torch.ones(len(own), 1)], dim=-1)
            h[:, i] += (valid[:, i, j, None] * said) @ net.links[i, :, j].T
            products += int((net.links[i, :, j] != 0).sum())
    for weight, bias in zip(net.deep, list(net.biases)[1:], strict=True):
        out, fan = weight.shape[1], weight.shape[3]
        matrix = weight.reshape(n * out, n * fan)
        h = (torch.tanh(h).flatten(1) @ matrix.T + bias.flatten()).reshape(-1, n, out)
        products += int((matrix != 0).sum())
    return torch.tanh(h), products


@pytest.mark.parametrize("dense", [False, True])
def test_network_is_the_matrices_that_it_says_and_costs_what_it_says(dense: bool) -> None:
    net = JointNetwork(SMALL, stream(), dense=dense).double()
    net.link_mask[0, :, 2] = net.link_mask[2, ::2, 1] = True
    with torch.no_grad():
        net.links.copy_(torch.randn(net.links.shape, generator=stream(3)) * net.link_mask)
    own, heard = (part.double() for part in inputs(SMALL))
    valid = (torch.rand(7, 3, 3, generator=stream(4)) < 0.5).double()
    valid.diagonal(dim1=1, dim2=2).fill_(1.0)
    wanted, products = dense_twin(net, own, heard, valid)
    torch.testing.assert_close(net(own, heard, valid), wanted)
    cost = cost_of(net)
    full = cost_of(JointNetwork(SMALL, stream(), dense=True))
    assert cost.within + cost.across == products
    assert cost.share == pytest.approx(products / (full.within + full.across))
    assert full.share == 1.0 and cost.density == pytest.approx(cost.across / full.across)


def test_equal_blocks_give_the_papers_formula() -> None:
    net = JointNetwork(Shape(4, 5, 4, (8,)), stream())  # a robot's own block is as wide as others'
    net.link_mask[1, :, 0] = True
    cost = cost_of(net)
    assert cost.share == pytest.approx(1 / 4 + (1 - 1 / 4) * cost.density)


@pytest.mark.parametrize("kind", ["edge", "weight"])
def test_opening_changes_no_output(kind: str) -> None:
    net = JointNetwork(SMALL, stream(), wide=True)
    own, heard = inputs(SMALL)
    before = net(own, heard)
    before.square().sum().backward()
    if kind == "edge":
        EdgeGrowth(GrowthRule(2, start=0, batches=1, at_once=2)).after(net, 0)
        assert int(net.edges().sum()) == 2
    else:
        WeightGrowth(GrowthRule(9, start=0, batches=1, at_once=20)).after(net, 0)
        assert cost_of(net).across == 9, "the budget holds"
    assert torch.equal(net(own, heard), before)
    net.silence()
    net.links.data -= 0.1 * net.links.grad
    assert not torch.equal(net(own, heard), before), "and from then on it learns"


def test_the_edge_that_opens_is_the_steepest_that_is_worth_its_radio() -> None:
    net = JointNetwork(SMALL, stream())
    own, heard = inputs(SMALL)
    target = torch.tanh(heard[:, 1, 2, :2])  # only robot 1 needs anybody: robot 2
    radio = np.zeros((3, 3))
    radio[1, 2] = 1.0

    def opened(price: float, stop: float = 0.05) -> list[tuple[int, int]]:
        net.zero_grad()
        (net(own, heard)[:, 1] - target).square().sum().backward()
        rule = GrowthRule(1, start=0, batches=1, price=price, stop=stop)
        growth, edges = EdgeGrowth(rule, radio), net.link_mask.clone()
        net.own.grad[:] = net.own.grad[1]  # the others' own gradients are 0 here
        growth.after(net, 0)
        net.link_mask.copy_(edges)
        return [one[2:] for one in growth.story]

    assert opened(0.0) == [(1, 2)]
    assert opened(1e6) != [(1, 2)], "too far away"
    assert opened(0.0, stop=1e6) == [], "not worth it"


def test_unused_edges_close_and_come_back_once() -> None:
    net = JointNetwork(SMALL, stream())
    rule = GrowthRule(1, start=0, every=10, batches=1, stop=-1.0, prune_every=20)
    growth, closed = EdgeGrowth(rule), []
    own, heard = inputs(SMALL)
    for update in range(61):
        net.zero_grad()
        net(own, heard)[:, 0].square().sum().backward()  # nobody learns, so nothing grows
        net.own.grad[:] = net.own.grad[0]
        growth.after(net, update)
        closed.append(~net.edges().any())
    first = growth.story[0][2:]
    words = [word for _, word, *edge in growth.story if tuple(edge) == first]
    assert words == ["opened", "closed", "opened", "closed"]
    assert len({one[2:] for one in growth.story}) > 1, "then another one's turn"


def test_closed_entries_stay_zero_in_training() -> None:
    net, task, rng = (
        JointNetwork(Shape(3, OBSERVED, OBSERVED), stream()),
        hidden_goal(3, 0),
        stream(1),
    )
    train(net, lambda: task.distances(net, 8, rng, dropout=0.1).mean(), NoGrowth(), 5)
    assert not net.links.any() and not net.edges().any()
    cross = ~torch.eye(3, dtype=torch.bool)[:, None, :, None]
    assert all(not (weight * cross).any() for weight in net.deep)


def test_closure_names_whoever_changes_the_action() -> None:
    """Against the gradients of the outputs, for networks with random openings in every layer."""
    for seed in range(10):
        net = JointNetwork(Shape(4, 3, 3, (5, 4)), stream(seed), wide=True)
        for weight, mask in net.sparse():
            apart = ~torch.eye(4, dtype=torch.bool)[:, None, :, None]
            mask |= (torch.rand(mask.shape, generator=stream(seed + 50)) < 0.02) & apart
            weight.data = torch.randn(weight.shape, generator=stream(seed + 90)) * mask
        own = torch.randn(16, 4, 3, generator=stream(2), requires_grad=True)
        valid = torch.ones(16, 4, 4, requires_grad=True)
        for robot in range(4):
            action = net(own, own[:, None], valid)[:, robot].sum()
            moved, told = torch.autograd.grad(action, (own, valid))
            felt = moved.abs().sum(dim=(0, 2)) + told.abs().sum(dim=(0, 1))
            wanted = [j for j in range(4) if j != robot and felt[j] > 0]
            assert closure_of(net, robot).sources(robot) == wanted


def test_growth_opens_what_is_necessary_first() -> None:
    run, net = run_arm("edge", 1, Study(4, 301, 2))
    assert run.found == run.opened == 2 and run.hears == 0.5
    assert not (net.edges().numpy() & ~hidden_goal(4, 1).edges).any()


def test_figures_do_not_depend_on_the_number_of_workers() -> None:
    told: list[str] = []
    alone, both = (study_of(1, Study(3, 3, 3), workers, told.append) for workers in (1, 2))
    assert [replace(run, seconds=0.0) for run in alone] == [
        replace(run, seconds=0.0) for run in both
    ]
    assert len(told) == 8 and told[3].startswith("4 of 4 trainings done")


def test_the_object_for_programs_and_the_page(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["bun", "--seeds", "1", "--updates", "3", "--robots", "3"]
    assert main([*few, "--json", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"edges_found", "flop_share", "score_ratio_to_dense"} <= found.keys()
    assert found["edges_true"] == 3 and [run["arm"] for run in found["runs"]] == [
        *("block", "edge", "weight", "dense")
    ]
    assert "N = 3" in (tmp_path / "bun.md").read_text()
    assert (tmp_path / "bun.csv").read_text().count("\n") == 5
    for argv, message in (
        (["bun", "--robots", "1"], "give 2 to"),
        (["bun", "--seeds", "0"], "1 s"),
    ):
        with pytest.raises(ConfigError, match=message):
            main(argv)


def test_navigation_is_learnt_and_told_of(
    tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(navigation, "POOL", 16)
    monkeypatch.setattr(navigation_study, "judge", lambda *_: navigation.Judged(2.0, 0.5, 1.0, 0.0))
    monkeypatch.setattr(navigation_study, "FIRST", 8)
    few = ["bun", "--task", "navigation", "--robots", "2", "--seeds", "1", "--updates", "12"]
    assert main([*few, "--json", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["teams"][0]["robots"] == 2 and found["teams"][0]["edges"] == [1]
    assert len(found["runs"]) == 12 and "N = 2" in (tmp_path / "bun-navigation.md").read_text()


def test_the_twin_of_navigation_says_what_the_simulator_says() -> None:
    """A controller that flies straight to its goal, through both kinds of inputs."""

    class Straight(JointNetwork):
        def forward(self, own: Tensor, heard: Tensor, valid: Tensor | None = None) -> Tensor:
            assert heard.shape[1:3] == (2, 2) and own.shape[-1] == OWN
            return torch.tanh(4.0 * own[..., 4:6])

    net, twin = Straight(Shape(2, OWN, HEARD), stream()), NavigationTwin(2, 0)
    assert judge(net, 16, 3, 0.0).on_goal > 0.9
    idle = JointNetwork(net.shape, stream())
    with torch.no_grad():
        straight, aimless = (float(twin.loss(one, 64, stream(5), 0.1)) for one in (net, idle))
    assert straight < 0.6 * aimless
