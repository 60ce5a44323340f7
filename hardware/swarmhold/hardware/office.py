"""Who of several supervisors speaks: terms, leases, a warm standby that takes over, stepping down.

No consensus is needed, since tables are advisory: for a moment two may speak, and robots follow
the one that `supersedes` the other. Every supervisor runs the whole health core all the time, so
that whoever takes over knows what the other one knew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from swarmhold.hardware.messages import WORD, HealthTable, later

FORGOTTEN_S = 10.0  # s without any table, after which it no longer matters what the last one was


@dataclass(frozen=True, slots=True)
class OfficeConfig:
    """How patient a supervisor is.

    Attributes:
        issuer: its name; of two in one term the one whose name sorts first speaks.
        rank: 0 for the first in line, 1 for its standby, and so on.
        lease_s: validity of a table.
        misses: leases without a table after which the next in line takes over.
    """

    issuer: str
    rank: int = 0
    lease_s: float = 1.0
    misses: int = 3

    @property
    def patience_s(self) -> float:
        """S of silence after which this one takes over; each rank waits a lease longer."""
        if self.rank == 0:
            return self.lease_s
        return self.lease_s * (self.misses + self.rank - 1)


@dataclass(frozen=True, slots=True)
class OfficeState:
    """Memory of one supervisor.

    Attributes:
        speaks: whether it publishes tables.
        term: of its own tables, if it speaks.
        heard: latest term that anybody has been heard in; None: nobody yet.
        heard_at: s, when another's table was heard that counts, or the start.
        last_now: s, of the last step.
    """

    speaks: bool
    term: int
    heard: int | None
    heard_at: float
    last_now: float


def office_init(now: float) -> OfficeState:
    """A supervisor that has just started, at `now` s (monotonic), and listens before it speaks."""
    return OfficeState(False, 0, None, now, now)


def hear(config: OfficeConfig, state: OfficeState, table: HealthTable, now: float) -> OfficeState:
    """Another supervisor's table: stand by if it counts more than one's own.

    The first term heard counts whatever it is, as it does for robots (`supersedes`): counters that
    wrap have no order from which to say that it is an old one.
    """
    if table.issuer == config.issuer:
        return state
    if state.heard is None or later(table.term, state.heard):
        return OfficeState(False, 0, table.term, now, state.last_now)
    if table.term != state.heard or (state.speaks and config.issuer < table.issuer):
        return state  # of a term that is over, or of one that is one's own
    return OfficeState(False, 0, state.heard, now, state.last_now)


def office_step(config: OfficeConfig, state: OfficeState, now: float) -> OfficeState:
    """Take over after too long a silence; who was itself asleep listens anew.

    One that spoke before it fell asleep listens for a lease only: maybe nobody has noticed.
    """
    if now - state.last_now > config.lease_s:
        since = now - (config.patience_s - config.lease_s if state.speaks else 0.0)
        return OfficeState(False, 0, state.heard, since, now)
    if state.speaks or now - state.heard_at < config.patience_s:
        return replace(state, last_now=now)
    term = 1 if state.heard is None else (state.heard + 1) % WORD
    return OfficeState(True, term, term, now, now)


def supersedes(new: HealthTable, held: HealthTable | None, silent_s: float) -> bool:
    """Whether a table replaces the one held: a later term, or the next of the same speaker.

    Args:
        new: just received.
        held: the last one that counted; None: none yet.
        silent_s: s since that one was received; after `FORGOTTEN_S` any table counts, or else a
            robot would never again follow supervisors that were all restarted.
    """
    if silent_s > FORGOTTEN_S:
        return True
    if held is None or new.term != held.term:
        return held is None or later(new.term, held.term)
    if new.issuer != held.issuer:
        return new.issuer < held.issuer
    return later(new.seq, held.seq)
