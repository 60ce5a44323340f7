"""ROS 2 domain ids: choosing a free one, and noticing a taken one."""

from __future__ import annotations

import os
import random
import socket

from swarmhold.hardware.errors import ConfigError, NotReadyError

HIGHEST = 100  # ports of higher ids run into the system's ephemeral range
_PARTICIPANTS = 4  # first participants of a domain whose ports are probed
_CLAIM = 2  # offset of a port within those of a domain that no participant uses


def ports(domain: int, participants: int = _PARTICIPANTS) -> list[int]:
    """Unicast discovery ports of a domain's first participants (DDSI-RTPS 2.2, 9.6.1.1)."""
    base = _base(domain)
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


class Domain:
    """A domain that is this process's own until it frees it or ends: others choose another one."""

    def __init__(self, number: int, claim: socket.socket) -> None:
        """Args: domain id, and a bound socket that keeps others off."""
        self.number, self._claim = number, claim

    def free(self) -> None:
        """Let others have it."""
        self._claim.close()


def choose_domain(wanted: int | None, shared: bool = False) -> Domain:
    """A free domain.

    Args:
        wanted: take this id or fail; None: any, at random.
        shared: an id that is wanted may be in use, by robots that speak ROS.

    Raises:
        ConfigError: the id is out of range.
        NotReadyError: it is in use, or no id is free.
    """
    if wanted is not None:
        if not 0 <= wanted <= HIGHEST:
            raise ConfigError(f"ROS domain {wanted} is out of range; choose 0 to {HIGHEST}")
        found = _claimed(wanted, shared)
        if found is None:
            raise NotReadyError(
                f"ROS domain {wanted} is in use on this machine; stop what runs there, choose "
                "another with --domain, or leave --domain away"
            )
        return found
    candidates = list(range(1, HIGHEST + 1))
    random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big")).shuffle(candidates)
    for number in candidates:
        found = _claimed(number)
        if found is not None:
            return found
    raise NotReadyError("no free ROS domain between 1 and 100; stop other ROS 2 programs first")


def _claimed(domain: int, shared: bool = False) -> Domain | None:
    """The domain, unless somebody uses it, or has chosen it and not yet begun to."""
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("0.0.0.0", _base(domain) + _CLAIM))
    except OSError:
        claim.close()
        return None
    if not shared and taken(domain):
        claim.close()
        return None
    return Domain(domain, claim)


def _base(domain: int) -> int:
    return 7400 + 250 * domain
