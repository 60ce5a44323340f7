"""What a fleet needs before its robots can be broken on purpose; `injection.gate` says why.

Of simulated robots the launcher makes the token itself, and takes it away after the flight. Where
robots may be real, they know it from a file of their own, and the operator has to show another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.environment import ALONE
from swarmhold.hardware.injection.gate import need_build
from swarmhold.hardware.operator_token import read_token, write_token

TOKEN = "faults.token"  # in the flight folder, of simulated robots, while they fly


def check_permission(config: FleetConfig) -> None:
    """Refuse a fleet that is to be broken and lacks something for it.

    Raises:
        ConfigError: the installation, a robot, or the operator's token.
    """
    if not _breakable(config):
        return
    need_build()
    known = config.faults_token
    if known is None and (config.hardware or config.part.network != ALONE):
        raise ConfigError(
            "robots that allow faults need faults_token in the fleet file: a file with the "
            "operator's token on every host; make it: swarmhold faults token FILE"
        )
    if config.hardware and config.allow_faults:
        check_hardware([each.allow_faults for each in config.each])
        if config.operator_token is None:
            raise ConfigError("faults of real robots need the operator's: --faults-token FILE")
        if known is not None and read_token(config.operator_token) != read_token(known):
            raise ConfigError(
                f"{config.operator_token} is not the token that robots know from {known}; "
                "ask for the campaign's"
            )


def check_hardware(allowed: Sequence[bool]) -> None:
    """Refuse to break a real team of which somebody does not allow it.

    Raises:
        ConfigError: who.
    """
    closed = [str(robot) for robot, allows in enumerate(allowed) if not allows]
    if closed:
        raise ConfigError(
            f"robots {', '.join(closed)} do not allow faults, which is the default in flight; set "
            "allow_faults in the fleet file for a field test"
        )


def with_tokens(config: FleetConfig) -> FleetConfig:
    """The same fleet, with a token where it needs one and has none; its folder exists."""
    if not _breakable(config):
        return config
    known = config.faults_token
    if known is None:
        known = config.folder / TOKEN
        forget_token(config.folder)  # of a flight that never began
        write_token(known)
    return replace(
        config,
        faults_token=known.resolve(),
        operator_token=(config.operator_token or known).resolve(),
    )


def forget_token(folder: Path) -> None:
    """Take away the token that was made for a flight."""
    (folder / TOKEN).unlink(missing_ok=True)


def _breakable(config: FleetConfig) -> bool:
    return config.allow_faults or any(each.allow_faults for each in config.each)
