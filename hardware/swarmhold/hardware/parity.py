"""What a bundle's parity report says, which the export wrote and sealed."""

from __future__ import annotations

import json
import math


def worst_of(report: bytes) -> float | None:
    """Largest difference between graph and network, of all cases; None where it says none."""
    try:
        worst = float(json.loads(report)["worst"])
    except (ValueError, KeyError, TypeError):
        return None
    return worst if math.isfinite(worst) else None
