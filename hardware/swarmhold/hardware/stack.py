"""Structures of arrays, as the cores keep them, of several robots as one and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def stacked(parts: Sequence[T]) -> T:
    """Arrays, or structures of arrays, as one with a new first axis."""
    out: Any = _stacked(parts)
    return out  # type: ignore[no-any-return]


def row(whole: T, index: int) -> T:
    """One of what was `stacked`."""
    out: Any = _row(whole, index)
    return out  # type: ignore[no-any-return]


def _stacked(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, np.ndarray | np.generic):
        whole = np.concatenate([part.reshape(-1) for part in parts])
        return whole.reshape(len(parts), *first.shape)
    names = _parts_of(first.__class__)
    return first.__class__(*[_stacked([getattr(p, name) for p in parts]) for name in names])


def _row(whole: Any, index: int) -> Any:
    if isinstance(whole, np.ndarray):
        return whole[index]
    names = _parts_of(whole.__class__)
    return whole.__class__(*[_row(getattr(whole, name), index) for name in names])


@cache
def _parts_of(kind: Any) -> tuple[str, ...]:
    """Names of a structure's parts."""
    if not is_dataclass(kind):
        raise TypeError(f"{kind} is neither an array nor a structure of arrays")
    return tuple(field.name for field in fields(kind))
