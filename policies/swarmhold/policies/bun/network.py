"""One network for a whole team, in blocks of receiver and sender, most of which are closed.

With robots i and j, units h and masks M (closed entries hold 0, so that no product is needed):

    h1_i = tanh(A_i o_i + sum_j v_ij L_ij [x_ij; 1] + b_i),    h^l = tanh(W^l h^(l-1) + b^l)

o_i is what i knows of itself, x_ij what it hears of j and v_ij whether it does; the 1 lets a block
tell silence from a zero. Without closed entries this is the dense network; with block diagonal W^l
and no L it is N independent learners, where training starts (arXiv 2410.02516).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a joint network.

    Attributes:
        robots: N, at least 2.
        own: Do, values that a robot knows of itself.
        heard: Dt, values that it can hear of another.
        hidden: units of each robot in each hidden layer.
        action: Da.
    """

    robots: int
    own: int
    heard: int
    hidden: tuple[int, ...] = (24, 24)
    action: int = 2


class JointNetwork(nn.Module):
    """The team's policy; closed entries hold 0 and are kept there by `silence` and `enforce`."""

    def __init__(
        self, shape: Shape, rng: torch.Generator, dense: bool = False, wide: bool = False
    ) -> None:
        """Draw weights.

        Args:
            shape: sizes.
            rng: of the weights.
            dense: everything open; else only what a robot has to do with itself.
            wide: whether deep layers may join robots, and have gradients where they do not yet.
        """
        super().__init__()
        self.shape, self._wide = shape, wide or dense
        n, units = shape.robots, (*shape.hidden, shape.action)
        apart = ~torch.eye(n, dtype=torch.bool)
        link_open = apart[:, None, :, None].expand(n, units[0], n, shape.heard + 1)
        self.register_buffer("link_mask", link_open & dense)
        senders = n - 1 if dense else 0
        first = shape.own + senders * (shape.heard + 1)
        self.own = nn.Parameter(_drawn((n, units[0], shape.own), first, rng))
        drawn = _drawn((n, units[0], n, shape.heard + 1), first, rng)
        self.links = nn.Parameter(drawn * self.link_mask)
        self.deep, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, (fan, out) in enumerate(pairwise(units)):
            size = (n, out, n, fan)
            opened = (~apart[:, None, :, None] | dense).expand(size).clone()
            self.register_buffer(f"deep_mask{index}", opened)
            self.deep.append(nn.Parameter(_drawn(size, fan * (senders + 1), rng) * opened))
        self.biases.extend(nn.Parameter(torch.zeros(n, out)) for out in units)

    def forward(self, own: Tensor, heard: Tensor, valid: Tensor | None = None) -> Tensor:
        """Decide for everybody.

        Args:
            own: (B, N, Do).
            heard: (B, N, N, Dt) what receiver i hears of sender j; (B, 1, N, Dt): all the same.
            valid: (B, N, N) 1 where it does; None: everywhere. On the diagonal 0 takes from a robot
                what it knows of itself, as a slice does that computes another's units.

        Returns:
            (B, N, Da) in [-1, 1].
        """
        batch, n = len(own), self.shape.robots
        said = torch.cat([heard, torch.ones_like(heard[..., :1])], dim=-1)
        said = said.expand(batch, n, n, -1)
        if valid is not None:
            said = said * valid[..., None]
            own = own * valid.diagonal(dim1=1, dim2=2)[..., None]
        rows = torch.cat([own, said.flatten(2)], dim=-1).transpose(0, 1)  # (N, B, columns)
        weights = torch.cat([self.own, self.links.flatten(2)], dim=-1)
        h = torch.tanh(torch.baddbmm(self.biases[0][:, None], rows, weights.transpose(1, 2)))
        for index, weight in enumerate(self.deep):
            if self._wide:
                flat = h.transpose(0, 1).flatten(1) @ weight.flatten(2).flatten(0, 1).T
                h = flat.unflatten(1, (n, -1)).transpose(0, 1) + self.biases[index + 1][:, None]
            else:
                blocks = weight.diagonal(dim1=0, dim2=2)  # (out, fan, N)
                h = torch.baddbmm(self.biases[index + 1][:, None], h, blocks.permute(2, 1, 0))
            h = torch.tanh(h)
        return h.transpose(0, 1)

    def deep_mask(self, index: int) -> Tensor:
        """(N, out, N, in) open entries of a deep layer."""
        mask: Tensor = getattr(self, f"deep_mask{index}")
        return mask

    def sparse(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Weights that can be closed, with their masks; the first layer first."""
        deep = [(weight, self.deep_mask(index)) for index, weight in enumerate(self.deep)]
        return [(self.links, self.link_mask), *deep]

    def edges(self) -> Tensor:
        """(N, N) whether anything of the first layer leads from sender j to receiver i."""
        return self.link_mask.any(dim=3).any(dim=1)

    def silence(self) -> None:
        """Take gradients from closed entries, after growth has read them."""
        for weight, mask in self.sparse():
            if weight.grad is not None:
                weight.grad.mul_(mask)

    @torch.no_grad()
    def enforce(self) -> None:
        """Put closed entries back to 0, for an optimiser goes on with what it remembers."""
        for weight, mask in self.sparse():
            weight.mul_(mask)


def _drawn(size: tuple[int, ...], fan: int, rng: torch.Generator) -> Tensor:
    """Normal, of variance 1 / fan-in."""
    return torch.randn(size, generator=rng) / fan**0.5
