"""Checkpoint to ONNX graph: one file, dynamic batch, teammate and obstacle axes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import onnx
import torch

from swarmhold.hardware.bundle import HIDDEN, HIDDEN_NEXT, graph_names
from swarmhold.hardware.spec import PolicySpec
from swarmhold.policies.actor import Actor

OPSET = 17


def to_onnx(actor: Actor, spec: PolicySpec) -> bytes:
    """Export the actor.

    Args:
        actor: trained policy.
        spec: its contract.

    Returns:
        The model, checked, without external data.
    """
    inputs, outputs = graph_names(actor.memory > 0)
    example = [
        torch.zeros(2, spec.self_size),
        torch.zeros(2, 3, spec.team_size),
        torch.ones(2, 3),
        torch.zeros(2, 4, spec.obstacle_size),
        torch.ones(2, 4),
    ]
    axes: dict[str, dict[int, str]] = {
        "self": {0: "B"},
        "team": {0: "B", 1: "M"},
        "health": {0: "B", 1: "M"},
        "obstacles": {0: "B", 1: "O"},
        "obstacle_mask": {0: "B", 1: "O"},
        "action": {0: "B"},
        "attention": {0: "B", 1: "M1"},
    }
    if actor.memory:
        example.append(torch.zeros(2, actor.memory))
        axes |= {HIDDEN: {0: "B"}, HIDDEN_NEXT: {0: "B"}}
    return exported(actor.eval(), tuple(example), inputs, outputs, axes)


def exported(
    module: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]],
) -> bytes:
    """Export a module.

    Args:
        module: what is exported.
        example: its inputs.
        inputs: their names.
        outputs: names of its outputs.
        axes: names of free axes.

    Returns:
        The model, checked, without external data.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is announced to go; it is 20 times faster and its graphs smaller.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            example,
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
