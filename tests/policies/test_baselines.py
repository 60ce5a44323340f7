"""The actors to compare with: what they are told, and that they export."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from swarmhold.export.graph import to_onnx
from swarmhold.hardware.bundle import INPUTS, OUTPUTS
from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.actor import Actor
from swarmhold.policies.baselines import AacftActor, FtAttentionActor, MlpActor

SPEC = policy_spec("epuck")


def make(name: str, told: bool = True) -> Actor:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    if name == "mlp":
        return MlpActor(SPEC, 32, (4, 5), told).eval()
    return AacftActor(SPEC, 32, told).eval() if name == "aacft" else FtAttentionActor(SPEC, 32)


def feeds(mates: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {
        "self": rng.normal(size=(6, SPEC.self_size)),
        "team": rng.normal(size=(6, mates, SPEC.team_size)),
        "health": rng.choice([0.0, 0.5, 1.0], (6, mates)),
        "obstacles": rng.normal(size=(6, 5, SPEC.obstacle_size)),
        "obstacle_mask": rng.choice([0.0, 1.0], (6, 5)),
    }
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def act(actor: Actor, given: dict[str, np.ndarray]) -> torch.Tensor:
    with torch.no_grad():
        return actor(*(torch.from_numpy(given[name]) for name in INPUTS))[0]


@pytest.mark.parametrize("name", ["mlp", "aacft", "ft-attn"])
def test_the_exported_graph_is_the_network_for_any_team_size(name: str) -> None:
    actor = make(name)
    session = onnxruntime.InferenceSession(to_onnx(actor, SPEC), providers=["CPUExecutionProvider"])
    for mates in (1, 3, 4, 9):
        given = feeds(mates, mates)
        given["team"][0, 0] = np.nan
        given["team"][1, 0] = 1e30
        action, attention = session.run(OUTPUTS, given)
        torch.testing.assert_close(torch.from_numpy(action), act(actor, given), atol=1e-5, rtol=0)
        assert np.isfinite(action).all()
        np.testing.assert_allclose(attention.sum(axis=1), 1.0, atol=1e-5)
        assert attention.shape == (6, mates + 1)


@pytest.mark.parametrize("name", ["mlp", "aacft"])
def test_the_flag_is_seen_by_those_that_are_told_and_by_no_others(name: str) -> None:
    given = feeds(3)
    broken = {**given, "health": np.zeros_like(given["health"])}
    same = {**given, "health": np.ones_like(given["health"])}
    assert (act(make(name), broken) - act(make(name), same)).abs().max() > 1e-3
    deaf = make(name, told=False)
    torch.testing.assert_close(act(deaf, broken), act(deaf, same))


def test_nobody_tells_ft_attn_anything() -> None:
    given = feeds(3)
    other = {**given, "health": np.zeros_like(given["health"])}
    torch.testing.assert_close(act(make("ft-attn"), given), act(make("ft-attn"), other))


def test_weight_zero_removes_nobody_from_a_baseline() -> None:
    """Which is the difference to the health-weighted actor."""
    given = feeds(3)
    given["health"][:] = 0.0
    moved = {**given, "team": given["team"] + 1.0}
    for name in ("mlp", "aacft", "ft-attn"):
        assert (act(make(name), given) - act(make(name), moved)).abs().max() > 1e-4


def test_attention_does_not_depend_on_the_order_and_fixed_places_do() -> None:
    given = feeds(4)
    order = np.array([2, 0, 3, 1])
    turned = {**given, "team": given["team"][:, order], "health": given["health"][:, order]}
    for name in ("aacft", "ft-attn"):
        torch.testing.assert_close(act(make(name), given), act(make(name), turned))
    assert (act(make("mlp"), given) - act(make("mlp"), turned)).abs().max() > 1e-4
