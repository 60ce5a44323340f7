"""Decisions in the order in which they were made, for learning with memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from swarmhold.policies.recurrent import Past

LENGTH = 10  # decisions that gradients reach back; MAPPO's (arXiv 2103.01955)


def cut(values: np.ndarray, length: int, fill: float = 0) -> np.ndarray:
    """Episodes cut into sequences, the last ones filled up.

    Args:
        values: (T, E, ...).
        length: L.
        fill: what they are filled up with.

    Returns:
        (S, L, ...), the sequences in order of (time, team).
    """
    missing = -len(values) % length
    if missing:
        empty = np.full((missing, *values.shape[1:]), fill, values.dtype)
        values = np.concatenate([values, empty])
    split = values.reshape(len(values) // length, length, *values.shape[1:])
    return np.swapaxes(split, 1, 2).reshape(-1, length, *values.shape[2:])


def past_of(numbers: np.ndarray, hidden: Tensor) -> Past:
    """Hidden states of sequences.

    Args:
        numbers: (L, S) rows, -1 where a robot does not act; whoever acts again after that
            starts from what is stored.
        hidden: (rows, H) before each decision.
    """
    acts = numbers >= 0
    follows = np.zeros_like(acts)
    follows[1:] = acts[:-1]
    stored = hidden[torch.from_numpy(np.maximum(numbers, 0))]
    return Past(stored, torch.from_numpy(follows))
