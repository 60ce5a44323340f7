"""One text of each force law, run by three arithmetics: numba, numpy and torch.

A law is a plain function of scalars that uses `+ - * /` and the four words below. Numba compiles
it into a loop over bodies; numpy runs the same text over rows of bodies where numba is missing;
torch runs it over tensors where gradients are wanted. So the three cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

try:
    import numba
except ImportError:  # the same formulas in numpy, some twenty times slower
    numba = None

WORDS = ("sqrt", "minimum", "maximum", "where")
# Everything but the assumption that there are no NaN and no infinities.
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}


def sqrt(value: Any) -> Any:
    """Square root; bound to an arithmetic by `over_rows`, `compiled` or `over_tensors`."""
    return math.sqrt(value)


def minimum(a: Any, b: Any) -> Any:
    """The smaller one."""
    return a if a < b else b


def maximum(a: Any, b: Any) -> Any:
    """The larger one."""
    return a if a > b else b


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`."""
    return a if condition else b


def _bound(law: Callable[..., Any], words: dict[str, Any]) -> FunctionType:
    """The same code with other meanings of the words."""
    code = law.__code__
    return FunctionType(code, {**law.__globals__, **words}, law.__name__, law.__defaults__)


def over_rows(*laws: Callable[..., Any]) -> list[Any]:
    """The laws over numpy arrays."""
    words = {"sqrt": np.sqrt, "minimum": np.minimum, "maximum": np.maximum, "where": np.where}
    return [_bound(law, words) for law in laws]


def over_tensors(*laws: Callable[..., Any]) -> list[Any]:
    """The laws over torch tensors, differentiable."""
    import torch

    words = {
        "sqrt": torch.sqrt,
        "minimum": lambda a, b: torch.minimum(*_tensors(torch, a, b)),
        "maximum": lambda a, b: torch.maximum(*_tensors(torch, a, b)),
        "where": torch.where,
    }
    return [_bound(law, words) for law in laws]


def _tensors(torch: Any, a: Any, b: Any) -> tuple[Any, Any]:
    like = a if isinstance(a, torch.Tensor) else b
    return tuple(torch.as_tensor(value, dtype=like.dtype) for value in (a, b))


if numba is not None:

    def compiled(*laws: Callable[..., Any]) -> list[Any]:
        """The laws as numba functions that are copied into the loop that calls them."""
        words = {name: numba.njit(forceinline=True)(globals()[name]) for name in WORDS}
        return [
            numba.njit(forceinline=True, fastmath=FAST, error_model="numpy")(_bound(law, words))
            for law in laws
        ]
