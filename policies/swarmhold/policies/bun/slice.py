"""One robot's part of a joint network: the sub-matrices that its action depends on.

With the same inputs a slice does what the joint network does, for any openings: it computes those
units of others that it needs from what it hears itself, in one round of messages.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import clean, squash
from swarmhold.policies.bun.closure import Closure, closure_of
from swarmhold.policies.bun.network import JointNetwork


@dataclass(frozen=True, slots=True)
class Units:
    """What network values stand for.

    Attributes:
        own: (Do) physical units per value of what a robot knows of itself.
        heard: (Dt) the same of what it hears.
        action: (Da) bounds.
    """

    own: Tensor
    heard: Tensor
    action: Tensor

    @staticmethod
    def plain(net: JointNetwork) -> Units:
        """Everything as it is."""
        shape = net.shape
        return Units(*(torch.ones(size) for size in (shape.own, shape.heard, shape.action)))


class SliceNetwork(nn.Module):
    """The graph of one robot, with the inputs and the output of `hardware.slices`.

    Attributes:
        robot: roster index.
        needs: (sender, components) of what must be heard, in roster order.
    """

    def __init__(self, net: JointNetwork, robot: int, units: Units, apart: bool = False) -> None:
        """Take what a robot needs.

        Args:
            net: joint network.
            robot: roster index.
            units: of its inputs and outputs.
            apart: whether what is heard of a robot depends on who hears it, such as its position
                relative to oneself; then others' units cannot be computed here.

        Raises:
            ConfigError: they would have to be.
        """
        super().__init__()
        closure = closure_of(net, robot)
        others = np.delete(closure.units[0].any(axis=1), robot).any()
        if others and (apart or net.shape.own != net.shape.heard):
            raise ConfigError(
                f"the slice of robot {robot} needs units of others, computed from what they see; "
                "grow edges in the first layer only, or let everybody send the same values"
            )
        self.robot = robot
        sources = closure.sources(robot)
        components = closure.heard | (closure.own if others else False)
        self.needs = [(one, np.flatnonzero(components[one]).tolist()) for one in sources]
        self._take_first(net, closure, units)
        self._take_deep(net, closure)
        self.register_buffer("bound", units.action)

    def _take_first(self, net: JointNetwork, closure: Closure, units: Units) -> None:
        """Weights of the first layer, one column per input that arrives."""
        rows = np.argwhere(closure.units[0])  # (units, 2): robot, unit
        own = torch.zeros(len(rows), net.shape.own)
        width = sum(len(indices) for _, indices in self.needs)
        remote = torch.zeros(len(rows), max(width, 1))
        valid = torch.zeros(len(rows), max(len(self.needs), 1))
        bias = torch.zeros(len(rows))
        for row, (owner, unit) in enumerate(rows.tolist()):
            bias[row] = net.biases[0][owner, unit]
            if owner == self.robot:
                own[row] = net.own[owner, unit]
            else:  # another's unit, to which this robot is the one who is heard
                own[row] = net.links[owner, unit, self.robot, :-1]
                bias[row] += net.links[owner, unit, self.robot, -1]
            start = 0
            for at, (sender, indices) in enumerate(self.needs):
                block = net.links[owner, unit, sender]
                valid[row, at] = block[-1]
                block = net.own[owner, unit] if owner == sender else block
                remote[row, start : start + len(indices)] = block[indices]
                start += len(indices)
        spread = torch.zeros(max(len(self.needs), 1), max(width, 1))
        scale, start = torch.ones(max(width, 1)), 0
        for at, (_, indices) in enumerate(self.needs):
            spread[at, start : start + len(indices)] = 1.0
            scale[start : start + len(indices)] = units.heard[indices]
            start += len(indices)
        for name, value in (
            *(("own", own), ("remote", remote), ("valid", valid), ("bias", bias)),
            *(("spread", spread), ("own_scale", units.own), ("remote_scale", scale)),
        ):
            self.register_buffer(name, value.detach().float())

    def _take_deep(self, net: JointNetwork, closure: Closure) -> None:
        last = np.zeros((net.shape.robots, net.shape.action), bool)
        last[self.robot] = True
        needs = [*closure.units, last]
        self._layers = len(net.deep)
        for index, weight in enumerate(net.deep):
            columns, rows = (torch.from_numpy(n.ravel()) for n in needs[index : index + 2])
            matrix = weight.detach().flatten(2).flatten(0, 1)
            self.register_buffer(f"weight{index}", matrix[rows][:, columns].float())
            bias = net.biases[index + 1].detach().flatten()[rows]
            self.register_buffer(f"bias{index}", bias.float())

    @property
    def products(self) -> int:
        """Multiply-accumulates of a decision."""
        first = self.own.numel() + self.remote.numel() + self.valid.numel()
        deep = (getattr(self, f"weight{index}").numel() for index in range(self._layers))
        return first + sum(deep)

    def forward(self, own_obs: Tensor, remote_obs: Tensor, remote_valid: Tensor) -> Tensor:
        """Decide; arguments as in `hardware.slices`, in physical units."""
        valid = (clean(remote_valid) > 0.5).to(own_obs.dtype)
        heard = squash(clean(remote_obs) / self.remote_scale)
        heard = torch.where(valid @ self.spread > 0.5, heard, 0.0)
        own = squash(clean(own_obs) / self.own_scale)
        h = own @ self.own.T + heard @ self.remote.T + valid @ self.valid.T + self.bias
        for index in range(self._layers):
            weight, bias = getattr(self, f"weight{index}"), getattr(self, f"bias{index}")
            h = torch.tanh(h) @ weight.T + bias
        return torch.tanh(h) * self.bound


def joint_hash(net: JointNetwork) -> str:
    """sha256 of the weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()
