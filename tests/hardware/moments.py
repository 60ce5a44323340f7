"""What an observer hears and sees in one quiet moment, to be changed by tests."""

from dataclasses import replace

import numpy as np

from swarmhold.hardware.monitor import MonitorInput
from swarmhold.hardware.sanity import Said


def heard(n, **change):
    """A quiet moment: everybody was heard just now and is where it claims to be."""
    place, zero = np.zeros((n, 3)), np.zeros(n)
    said = Said(place, place, zero, zero, np.ones(n), np.ones(n, bool))
    of_said = {name: change.pop(name) for name in ("boot_id", "fresh") if name in change}
    base = MonitorInput(
        age=np.full(n, 0.02),
        control_age=np.full(n, 0.02),
        claimed=place,
        sensed=place,
        corrupt=np.zeros(n, bool),
        alien=np.zeros(n, bool),
        said=replace(said, **of_said),
    )
    return replace(base, **change)
