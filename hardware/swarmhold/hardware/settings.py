"""All thresholds of detectors and health in one value that is stored with the bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.health import HealthConfig
from swarmhold.hardware.monitor import MonitorConfig
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.hardware.sanity import SanityConfig

RETIRED = ("offset_limit_s",)  # of another sum of offsets, which bundles of before it still name


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Settings of the whole health chain.

    Attributes:
        monitor: thresholds of one observer.
        health: fusion and state machine.
        normality: thresholds of whoever knows the shared policy.
        lease_s: how long a supervisor's table is valid.
        fade_s: time constant with which an expired table gives way to local evidence.
        stale_s: a belief older than this is masked for oneself, whatever its cause.
    """

    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    normality: NormalityConfig = field(default_factory=NormalityConfig)
    lease_s: float = 1.0
    fade_s: float = 5.0
    stale_s: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HealthSettings:
        """The reverse of `to_dict`.

        Raises:
            ConfigError: a key is unknown.
        """
        plain = dict(values)
        parts: dict[str, Any] = {}
        for name, kind in (
            ("monitor", MonitorConfig),
            ("health", HealthConfig),
            ("normality", NormalityConfig),
        ):
            parts[name] = _made(kind, plain.pop(name, {}), f"health.{name}")
        return cls(**parts, **_known(cls, plain, "health"))


def _made(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    """A part of the settings; those of the sanity checks lie within the monitor's."""
    plain = dict(_known(kind, {k: v for k, v in values.items() if k not in RETIRED}, where))
    if "sanity" in plain:
        plain["sanity"] = SanityConfig(**_known(SanityConfig, plain["sanity"], f"{where}.sanity"))
    return kind(**plain)


def _known(kind: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    for key in values:
        if key not in names:
            raise ConfigError(f"unknown key {key!r} in {where}; known: {', '.join(sorted(names))}")
    return values
