"""Messages between simulated robots: who hears what of whom, and when.

A message takes one decision from sender to receiver; a receiver keeps what it heard last. Latency,
bursts of loss, another order, partitions, lies and replays act here, and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from swarmhold.hardware.faults import BEHIND_S
from swarmhold.hardware.types import Bool, Float, Int, Kinematics
from swarmhold.sim.disturb import Disturbances, blend
from swarmhold.sim.faults import Effects
from swarmhold.sim.noise import Keys, mix, normal, uniform

LIE, LATENCY, SPELL, LOSS, BEHIND = 21, 22, 23, 24, 25  # purposes of random numbers
LATEST_S = 3.0  # s, no message is later than this
GHOST = 90.0  # boot id of a second sender under the same name


class Radio:
    """Beliefs of E teams of N robots, arrays (E, receiver, sender).

    Attributes:
        heard: last state received.
        heard_at: s of the episode at which it was received; -inf if never.
        boot_id: last boot id heard, 0 if none.
        stamp: s, by which its stamp was off.
        sent_at: s of the episode at which it was sent; -inf if never.
        fresh: a message arrived with the last decision.
        forged: (E, N) senders whose next messages are replaced, and what each receiver is told
            instead; None for nobody's. Reset clears it.
    """

    def __init__(
        self, config: Disturbances, n_envs: int, n_robots: int, half: float, tick: float
    ) -> None:
        """Args: config, E, N, half width of the arena (m), time between decisions (s)."""
        self._config, self._half, self._tick = config, half, tick
        pair = (n_envs, n_robots, n_robots)
        self.heard = Kinematics(
            np.zeros((*pair, 3)), np.zeros((*pair, 3)), np.zeros(pair), np.zeros(pair)
        )
        self.heard_at, self.boot_id = np.full(pair, -np.inf), np.zeros(pair)
        self.stamp, self.fresh = np.zeros(pair), np.zeros(pair, bool)
        self.sent_at = np.full(pair, -np.inf)
        self._bad = np.zeros(pair, bool)
        self.forged: tuple[Bool, Kinematics] | None = None
        self._lie = np.zeros((*pair, 2))
        # Sending times (E), states, and who (E, N) kept them back.
        self._past: list[tuple[Float, Kinematics, Bool]] = []
        self._replayed: Kinematics | None = None

    def reset(self, keys: Keys, own: Kinematics, chosen: Bool) -> None:
        """Forget everything in the chosen (E) teams; draw the lies of the episode.

        Args:
            keys: (E) of the episodes.
            own: (E, N) states at the start.
            chosen: (E).
        """
        use = chosen[:, None, None]
        self.forged = None
        self.heard_at[chosen], self.sent_at[chosen] = -np.inf, -np.inf
        for array in (self.boot_id, self.stamp, self.fresh, self._bad):
            array[chosen] = 0
        for array in (
            self.heard.position,
            self.heard.velocity,
            self.heard.yaw,
            self.heard.yaw_rate,
        ):
            array[chosen] = 0.0
        lie = uniform(mix(keys, LIE), (*self.stamp.shape[1:], 2), -self._half, self._half)
        self._lie = np.where(use[..., None], lie, self._lie)
        self._past = [
            (np.where(chosen, -np.inf, at), blend(own, state, chosen), behind)
            for at, state, behind in self._past
        ]
        self._replayed = own if self._replayed is None else blend(own, self._replayed, chosen)

    def greet(
        self, now: Float, own: Kinematics, present: Bool, effects: Effects, chosen: Bool
    ) -> None:
        """Say hello before a start.

        In chosen teams (E) everybody hears everybody; chosen robots (E, N) are heard by all, and
        hear all, before they join, on their side of a partition.
        """
        joins = chosen.ndim == 2
        new = chosen if joins else chosen[:, None]
        sends = present & ~effects.silent
        arrives = sends[:, None, :] & sends[:, :, None] & (new[:, None, :] | new[:, :, None])
        if joins:
            arrives &= effects.cut[:, None, :] == effects.cut[:, :, None]
        before = self.fresh
        sent = np.broadcast_to(now[:, None, None], arrives.shape)
        self._take(now, sent, _to_all(own), arrives, effects)
        self.fresh = before | arrives

    def deliver(
        self, now: Float, own: Kinematics, present: Bool, effects: Effects, keys: Keys
    ) -> None:
        """Messages arrive that were sent with the last observation.

        Args:
            now: (E) s of the episode.
            own: (E, N) what each robot believes of itself.
            present: (E, N).
            effects: faults that act.
            keys: (E) of episode and step.
        """
        config = self._config
        sends = present & ~effects.silent
        arrives = sends[:, None, :] & sends[:, :, None]  # a dead radio hears nothing either
        if effects.cut.any():
            arrives &= effects.cut[:, None, :] == effects.cut[:, :, None]
        if config.link_drop > 0 or effects.drop.any():
            arrives &= ~self._lost(effects, keys)
        if effects.replay.any() and self._replayed is not None:
            own = blend(self._replayed, own, effects.replay)
        self._replayed = own
        sent = np.broadcast_to(now[:, None, None], arrives.shape)
        if config.link_delay_s > 0 or effects.delay.any() or effects.reorder.any():
            sent, said, ready = self._late(now, own, effects, keys)
            arrives &= ready & (sent > self.sent_at)
        else:
            self._past = []
            said = _to_all(own)
        self._take(now, sent, said, arrives, effects)

    def renew(self, own: Kinematics, robots: Bool) -> None:
        """Robots (E, N) that have just come have sent nothing yet."""
        self._past = [(at, blend(own, state, robots), behind) for at, state, behind in self._past]
        if self._replayed is not None:
            self._replayed = blend(own, self._replayed, robots)

    def age(self, now: Float) -> Float:
        """(E, N, N) s since anybody was heard, at `now` (E); infinity if never.

        After the start of an episode a message is one decision old when it arrives.
        """
        age = now[:, None, None] - self.heard_at
        return np.where((now > 0)[:, None, None], np.maximum(age - self._tick, 0.0), age)

    def teammates(self, others: Int) -> Kinematics:
        """(E, N, M) what each robot believes of those (N, M) that `others` names."""
        rows, heard = np.arange(len(others))[:, None], self.heard
        parts = (heard.position, heard.velocity, heard.yaw, heard.yaw_rate)
        return Kinematics(*(part[:, rows, others] for part in parts))

    def _take(
        self, now: Float, sent: Float, said: Kinematics, arrives: Bool, effects: Effects
    ) -> None:
        claim, boot = self._claims(said.position, effects, now)
        said = replace(said, position=claim)
        if self.forged is not None:
            senders, instead = self.forged
            said = blend(instead, said, np.broadcast_to(senders[:, None], arrives.shape))
        self.heard = blend(said, self.heard, arrives)
        self.heard_at = np.where(arrives, now[:, None, None], self.heard_at)
        self.sent_at = np.where(arrives, sent, self.sent_at)
        self.boot_id = np.where(arrives, boot, self.boot_id)
        self.stamp = np.where(arrives, effects.clock[:, None, :], self.stamp)
        self.fresh = arrives

    def _lost(self, effects: Effects, keys: Keys) -> Bool:
        """Two-state Markov chain per link; messages get lost while it is bad."""
        config, pair = self._config, self._bad.shape[1:]
        draw = uniform(mix(keys, SPELL), pair)
        worse, better = self._tick / config.link_good_s, self._tick / config.link_bad_s
        self._bad = np.where(self._bad, draw >= min(better, 1.0), draw < min(worse, 1.0))
        harm = np.maximum(effects.drop[:, None, :], effects.drop[:, :, None])
        share = np.maximum(harm, config.link_drop)
        return self._bad & (uniform(mix(keys, LOSS), pair) < share)

    def _late(
        self, now: Float, own: Kinematics, effects: Effects, keys: Keys
    ) -> tuple[Float, Kinematics, Bool]:
        """The newest message that has had the time to arrive, per link."""
        behind = uniform(mix(keys, BEHIND), self._bad.shape[1:2]) < effects.reorder
        self._past = [(now.copy(), own, behind), *self._past][: round(LATEST_S / self._tick) + 1]
        pair, config = self._bad.shape[1:], self._config
        mean = config.link_delay_s + effects.delay[:, None, :]
        late = mean * np.exp(config.link_jitter * normal(mix(keys, LATENCY), pair))
        steps = np.minimum(np.rint(late / self._tick), len(self._past) - 1).astype(int)
        steps = self._here(steps)
        env = np.arange(len(now))[:, None, None]
        sender = np.arange(pair[1])[None, None, :]
        times = np.stack([at for at, _, _ in self._past])[steps, env]

        def gather(name: str) -> Float:
            stack = np.stack([getattr(state, name) for _, state, _ in self._past])
            return np.asarray(stack[steps, env, sender])

        said = Kinematics(*(gather(n) for n in ("position", "velocity", "yaw", "yaw_rate")))
        ready = np.isfinite(times) & (now[:, None, None] - times >= steps * self._tick - 1e-9)
        return times, said, ready

    def _here(self, steps: Int) -> Int:
        """(E, N, N) how many decisions ago the newest message was sent that is here.

        Args:
            steps: (E, N, N) that a message takes which is not kept back.
        """
        behind = np.stack([kept for _, _, kept in self._past])[:, :, None, :]
        if not behind.any():
            return steps
        ago = np.arange(len(behind))[:, None, None, None]
        here = ago >= steps + math.ceil(BEHIND_S / self._tick) * behind
        return np.where(here.any(axis=0), here.argmax(axis=0), len(behind) - 1)

    def _claims(self, position: Float, effects: Effects, now: Float) -> tuple[Float, Float]:
        """(E, receiver, sender, 3) m, what each robot tells each other, and boot ids."""
        boot = np.broadcast_to(effects.boot_id[:, None, :], position.shape[:3])
        twisted = (effects.spoof, effects.corrupt, effects.duplicate)
        if not any(effect.any() for effect in twisted):
            return position, boot
        claim, pair = position.copy(), position.shape[:3]
        false = np.clip(
            position[..., :2] + self._lie * effects.spoof[:, None, :, None], -self._half, self._half
        )
        lies = (effects.spoof > 0)[:, None, :, None]
        claim[..., :2] = np.where(lies, false, claim[..., :2])
        claim[np.broadcast_to(effects.corrupt[:, None], pair)] = np.nan
        if effects.duplicate.any():
            odd = (np.rint(now / self._tick) % 2 == 1)[:, None, None]
            ghost = effects.duplicate[:, None, :] & odd
            claim[..., :2] = np.where(ghost[..., None], -claim[..., :2], claim[..., :2])
            boot = np.where(ghost, GHOST, boot)
        return claim, boot


def _to_all(own: Kinematics) -> Kinematics:
    """(E, N) states as what each receiver (E, N, N) hears of each sender."""
    robots = own.yaw.shape[1]
    parts = (own.position, own.velocity, own.yaw, own.yaw_rate)
    return Kinematics(*(np.broadcast_to(a[:, None], (len(a), robots, *a.shape[1:])) for a in parts))
