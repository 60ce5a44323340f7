"""A policy graph on numpy alone, for where there is no ONNX Runtime.

`policy.npz` holds the graph as a list of steps (JSON) and its numbers; both come from
`model.onnx`. Every operator that our graphs use is one line below.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    where = [slice(None)] * x.ndim
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        where[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(where)]


def _reduced(how: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Any, axes: Any = None, *, axes_: Any = None, keepdims: int = 1) -> Any:
        chosen = axes_ if axes is None else axes
        along = None if chosen is None else tuple(int(axis) for axis in chosen)
        return how(x, axis=along, keepdims=bool(keepdims))

    return reduce


def _gemm(
    a: Any,
    b: Any,
    c: Any = 0.0,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    return alpha * ((a.T if transA else a) @ (b.T if transB else b)) + beta * c  # fmt: skip


def _softmax(x: Any, *, axis: int = -1) -> Any:
    power = np.exp(x - x.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


def _reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    kept = [x.shape[at] if size == 0 and not allowzero else size for at, size in enumerate(shape)]
    return x.reshape([int(size) for size in kept])


def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    return np.clip(x, low, high)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power,
    "Greater": np.greater, "IsNaN": np.isnan, "Log": np.log, "Tanh": np.tanh, "MatMul": np.matmul,
    "Mod": lambda a, b, fmod=0: np.mod(a, b),
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "Where": np.where, "Clip": _clip, "Gemm": _gemm, "Softmax": _softmax, "Slice": _slice,
    "Shape": lambda x: np.array(x.shape, np.int64),
    "ConstantOfShape": lambda shape, value: np.full([int(n) for n in shape], value[0], value.dtype),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis=axis),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(int(axis) for axis in axes)),
    "Transpose": lambda x, perm: np.transpose(x, perm),
    "Gather": lambda x, index, axis=0: np.take(x, index, axis=axis),
    "Reshape": _reshape,
    "ReduceSum": _reduced(np.sum), "ReduceMean": _reduced(np.mean),
}  # fmt: skip


class Graph:
    """A policy graph; the same inputs and outputs as `model.onnx`."""

    def __init__(self, numbers: dict[str, Any]) -> None:
        """Args: contents of `policy.npz`."""
        told = json.loads(bytes(numbers["graph"]).decode())
        self._steps, self._outputs = told["steps"], told["outputs"]
        self._fixed = {name: numbers[key] for name, key in told["numbers"].items()}

    def __call__(self, inputs: dict[str, Any]) -> list[Any]:
        """Outputs, in the order of the graph."""
        known = {**self._fixed, **inputs}
        for step in self._steps:
            given = [known[name] if name else None for name in step["inputs"]]
            options = {
                name: self._fixed[value[1:]] if isinstance(value, str) else value
                for name, value in step["options"].items()
            }
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                known[step["output"]] = OPERATORS[step["operator"]](*given, **options)
        return [known[name] for name in self._outputs]
