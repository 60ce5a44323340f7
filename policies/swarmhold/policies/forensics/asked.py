"""What a policy was asked, many decisions at once: to ask again, a little otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from swarmhold.hardware.report.replay import Ticked
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.shadow import Decision
from swarmhold.hardware.types import Bool, Float, Int, Observation
from swarmhold.policies.forensics.geometry import EPSILON, bending_of_graph

LAST = 3  # where the last action begins in a self token, see `observe`


@dataclass(frozen=True, slots=True)
class Asked:
    """K decisions of one robot.

    Attributes:
        t: (K) s, as given.
        seen: (K) observations, padded to the most obstacles.
        weights: (K, M) of teammates.
        action: (K, Da) physical units.
    """

    t: Float
    seen: Observation
    weights: Float
    action: Float

    def __len__(self) -> int:
        return len(self.t)

    def some(self, chosen: Bool | Int) -> Asked:
        """Fewer of them."""
        parts = (self.seen.self_token, self.seen.team, self.seen.obstacles, self.seen.obstacle_mask)
        seen = Observation(*(part[chosen] for part in parts))
        return Asked(self.t[chosen], seen, self.weights[chosen], self.action[chosen])


def stacked(decisions: Sequence[tuple[float, Decision]]) -> Asked | None:
    """Decisions with their times as arrays; None of none."""
    if not decisions:
        return None
    most = max(len(made.seen.obstacles) for _, made in decisions)

    def padded(values: Float) -> Float:
        room = [(0, most - len(values))] + [(0, 0)] * (values.ndim - 1)
        return np.pad(values, room)

    every = [made.seen for _, made in decisions]
    seen = Observation(
        np.stack([one.self_token for one in every]),
        np.stack([one.team for one in every]),
        np.stack([padded(one.obstacles) for one in every]),
        np.stack([padded(one.obstacle_mask) for one in every]),
    )
    return Asked(
        np.array([t for t, _ in decisions]),
        seen,
        np.stack([made.weights for _, made in decisions]),
        np.stack([made.action for _, made in decisions]),
    )


def decisions_of(
    ticks: Sequence[Ticked], robot: int, began: float, bound: Float
) -> list[tuple[float, Decision]]:
    """A robot's decisions, each once, with the last action that was really published.

    Args:
        ticks: of a replay, whose own last actions the flight did not follow.
        robot: roster index.
        began: s, wall clock, at time 0.
        bound: (Da) of the action.
    """
    out: list[tuple[float, Decision]] = []
    last, before = None, None
    for tick in ticks:
        if tick.robot != robot:
            continue
        made = tick.decision
        if made is not None and made is not before:
            before = made
            if tick.t >= began:
                out.append((tick.t - began, made if last is None else _after(made, last / bound)))
        last = last if tick.recorded is None else tick.recorded
    return out


def _after(made: Decision, last: Float) -> Decision:
    """The same decision after another action, in shares of the bound."""
    token = made.seen.self_token.copy()
    token[LAST : LAST + len(last)] = last
    return replace(made, seen=replace(made.seen, self_token=token))


def again(policy: OnnxPolicy, asked: Asked) -> Float:
    """(K, Da) what the policy wants, in physical units."""
    return policy.act(asked.seen, asked.weights).action


def influence(policy: OnnxPolicy, asked: Asked) -> Float:
    """(K, M) how much the action would change without a teammate, in shares of the bound."""
    bound = np.asarray(policy.bundle.spec.action_bound)
    with_all = again(policy, asked)
    out = np.zeros(asked.weights.shape)
    for mate in range(asked.weights.shape[1]):
        without = asked.weights.copy()
        without[:, mate] = 0.0
        off = policy.act(asked.seen, without).action - with_all
        out[:, mate] = np.abs(off / bound).max(axis=-1)
    return out


def bent(policy: OnnxPolicy, asked: Asked, epsilon: float = EPSILON) -> Float:
    """(K) stage 1's remainder of the bundle's actor, in shares of the bound.

    What robots see of themselves and of teammates is moved, by up to `epsilon` of its unit;
    landmarks, posts and bodies stay where they are.
    """
    bound = np.asarray(policy.bundle.spec.action_bound)
    rows, own = asked.seen.self_token.shape
    flat = np.concatenate([asked.seen.self_token, asked.seen.team.reshape(rows, -1)], axis=-1)

    def act(moved: Float) -> Float:
        def repeated(values: Float) -> Float:
            return np.repeat(values[:, None], moved.shape[1], axis=1)

        team = moved[..., own:].reshape(*moved.shape[:2], *asked.seen.team.shape[1:])
        around = repeated(asked.seen.obstacles), repeated(asked.seen.obstacle_mask)
        seen = Observation(moved[..., :own], team, *around)
        return policy.act(seen, repeated(asked.weights)).action / bound

    return bending_of_graph(act, flat.astype(float), np.ones(flat.shape[1]), epsilon)
