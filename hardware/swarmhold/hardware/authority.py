"""How far a robot follows the supervisor's table, against what it has noticed itself."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Bool, Float


def bounded(table: Float, local: Float, own: Bool) -> Float:
    """What of a table is within the supervisor's authority.

    It may condemn up to floor((N - 1) / 2) robots that oneself has nothing against. One that
    condemns more is broken, deaf or lying, and is not believed in anything.

    Args:
        table: (..., N) weights of the last table.
        local: (..., N) local verdict.
        own: (..., N) True at the robot's own entry.

    Returns:
        (..., N) weights: of the table, or of the local verdict.
    """
    n = table.shape[-1]
    alone = (table < 0.5) & (local >= 0.5) & ~own
    beyond = alone.sum(axis=-1, keepdims=True) > (n - 1) // 2
    return np.where(beyond, local, table)


def merge_weights(
    table: Float,
    table_age_s: Float,
    local: Float,
    own_hard: Bool,
    lease_s: float = 1.0,
    fade_s: float = 5.0,
) -> Float:
    """The weights a robot acts on.

    While the supervisor's table is leased, the lower of table and local verdict counts. After
    that the table fades into the local verdict. What the robot itself saw lying or sending
    garbage is masked at once, whatever others say.

    Args:
        table: (..., N) weights of the last table.
        table_age_s: (...) s since it was received; infinity if none ever was.
        local: (..., N) local verdict.
        own_hard: (..., N) own hard evidence.
        lease_s: lease of a table.
        fade_s: time constant of the fading.

    Returns:
        (..., N) weights.
    """
    late = np.maximum(table_age_s - lease_s, 0.0)[..., None]
    keep = np.exp(-late / fade_s)
    blended = np.where(late > 0.0, keep * table + (1.0 - keep) * local, table)
    return np.where(own_hard, 0.0, np.minimum(blended, local))
