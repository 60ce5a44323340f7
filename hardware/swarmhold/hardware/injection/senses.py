"""Sensors that are broken: the own state is off, drifts, repeats, is noisy or not there at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.injection.schedule import Kinds
from swarmhold.hardware.messages import SensorFrame

_BLIND = (float("nan"),) * 3


class Senses:
    """What a robot reads of itself; what it sees of others stays as it is."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._last: SensorFrame | None = None

    def read(self, frame: SensorFrame, acting: Kinds) -> SensorFrame:
        """The frame as the broken sensors have it."""
        if "sensor_freeze" in acting and self._last is not None:
            last = self._last
            return replace(
                frame, position=last.position, velocity=last.velocity, yaw=last.yaw,
                yaw_rate=last.yaw_rate,
            )  # fmt: skip
        place = np.asarray(frame.position, float)
        for kind in ("sensor_bias", "sensor_drift"):
            if kind in acting:
                found = acting[kind]
                length = found.size * (found.since_s if kind == "sensor_drift" else 1.0)
                place[:2] += length * np.array([np.cos(found.bearing), np.sin(found.bearing)])
        if "sensor_noise" in acting:
            found = acting["sensor_noise"]
            place += found.size * found.draws.normal(size=3)
        x, y, z = (float(value) for value in place)
        self._last = replace(frame, position=(x, y, z))
        if "sensor_nan" in acting:
            nan = float("nan")
            return replace(frame, position=_BLIND, velocity=_BLIND, yaw=nan, yaw_rate=nan)
        return self._last
