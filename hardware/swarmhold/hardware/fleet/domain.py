"""ROS 2 domain ids: choosing a free one, and noticing a taken one."""

from __future__ import annotations

import os
import random
import socket

from swarmhold.hardware.errors import ConfigError, NotReadyError

HIGHEST = 100  # ports of higher ids run into the system's ephemeral range
_PARTICIPANTS = 4  # first participants of a domain whose ports are probed


def ports(domain: int, participants: int = _PARTICIPANTS) -> list[int]:
    """Unicast discovery ports of a domain's first participants (DDSI-RTPS 2.2, 9.6.1.1)."""
    base = 7400 + 250 * domain
    return [base + 10 + 2 * participant for participant in range(participants)]


def taken(domain: int) -> bool:
    """Whether somebody on this host has bound one of the domain's ports."""
    for port in ports(domain):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return True
    return False


def choose_domain(wanted: int | None) -> int:
    """A free domain id.

    Args:
        wanted: take this one or fail; None: any, at random, so that runs do not race.

    Raises:
        ConfigError: the id is out of range.
        NotReadyError: it is in use, or no id is free.
    """
    if wanted is not None:
        if not 0 <= wanted <= HIGHEST:
            raise ConfigError(f"ROS domain {wanted} is out of range; choose 0 to {HIGHEST}")
        if taken(wanted):
            raise NotReadyError(
                f"ROS domain {wanted} is in use on this machine; stop what runs there, choose "
                "another with --domain, or leave --domain away"
            )
        return wanted
    candidates = list(range(1, HIGHEST + 1))
    random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big")).shuffle(candidates)
    for domain in candidates:
        if not taken(domain):
            return domain
    raise NotReadyError("no free ROS domain between 1 and 100; stop other ROS 2 programs first")
