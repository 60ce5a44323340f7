"""Who may break a robot on purpose: three things are needed, and none of them is there by default.

1. The installation was built for it (`SWARMHOLD_FAULTS=1`), which its metadata tell.
2. The node was told so at its start (`allow_faults`), which cannot be changed afterwards.
3. The order is signed with the operator's token (HMAC, RFC 2104), so that the token itself never
   goes over the air; an order that is old, or that comes a second time, is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from swarmhold.hardware.errors import ConfigError, SwarmholdError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.operator_token import read_token

MARKER = "extra_metadata/faults"  # in the package's metadata, see tools/build_faults.py
FRESH_S = 10.0  # s by which an order's stamp may be off the receiver's clock
LONGEST_S = 1e6  # a fault without an end, on the wire
_PURPOSE = b"swarmhold fault order\0"


class RefusedError(SwarmholdError):
    """An order that is not obeyed."""


def can_inject() -> bool:
    """Whether this installation was built for breaking robots."""
    try:
        return distribution("swarmhold").read_text(MARKER) is not None
    except PackageNotFoundError:
        return False


def need_build() -> None:
    """Refuse what breaks robots in an installation that was not built for it.

    Raises:
        ConfigError: it was not.
    """
    if not can_inject():
        raise ConfigError(
            "this installation was built without fault injection, which is the default for "
            "robots; build it anew: SWARMHOLD_FAULTS=1 pip install --force-reinstall ..."
        )


@dataclass(frozen=True, slots=True)
class Order:
    """A fault that somebody wants, as it travels.

    Attributes:
        fault: what; it begins when the order arrives.
        stamp_ns: when it was signed, ns, wall clock.
        signature: of all that travels, hexadecimal; "" if there is none.
    """

    fault: FaultSpec
    stamp_ns: int
    signature: str

    @classmethod
    def signed(cls, fault: FaultSpec, stamp_ns: int, token: str) -> Order:
        """An order that shows the token."""
        fault = replace(fault, start_s=0.0, duration_s=min(fault.duration_s, LONGEST_S))
        return cls(fault, stamp_ns, signature_of(fault, stamp_ns, token))


def signature_of(fault: FaultSpec, stamp_ns: int, token: str) -> str:
    """HMAC-SHA-256 over what the message holds, in its precision."""
    told = struct.pack(
        "<BffIq", fault.robot, fault.duration_s, fault.severity, fault.seed, stamp_ns
    )
    return hmac.new(
        token.encode(), _PURPOSE + told + fault.kind.encode(), hashlib.sha256
    ).hexdigest()


class Gate:
    """Lets orders through that show the token, each once."""

    def __init__(self, token: str) -> None:
        """Args: the operator's, as this node knows it."""
        self._token = token
        self._obeyed: dict[str, float] = {}

    @classmethod
    def of(cls, token_file: str) -> Gate:
        """Gate of a node that is told to obey.

        Raises:
            ConfigError: the installation was not built for it, or there is no usable token.
        """
        need_build()
        if not token_file:
            raise ConfigError(
                "allow_faults needs faults_token, the file with the operator's token; make one: "
                "swarmhold faults token FILE"
            )
        return cls(read_token(Path(token_file)))

    def check(self, order: Order, now: float) -> None:
        """Let an order through at `now` (s, wall clock).

        Raises:
            RefusedError: it shows no token or another one, or is not of now, or was obeyed before.
        """
        fault = order.fault
        what = f"{fault.kind} of robot {fault.robot} is refused:"
        if not order.signature:
            raise RefusedError(
                f"{what} the order shows no operator token; who gives it needs --faults-token FILE"
            )
        right = signature_of(fault, order.stamp_ns, self._token)
        if not hmac.compare_digest(order.signature.encode(errors="replace"), right.encode()):
            raise RefusedError(
                f"{what} the order shows another token than this node's; use the one that its "
                "faults_token names"
            )
        age = now - 1e-9 * order.stamp_ns
        if abs(age) > FRESH_S:
            raise RefusedError(
                f"{what} the order is {age:+.0f} s old; it is repeated, or clocks differ: set them"
            )
        self._obeyed = {key: at for key, at in self._obeyed.items() if now - at <= 2.0 * FRESH_S}
        if right in self._obeyed:
            raise RefusedError(f"{what} the same order was obeyed before; give it anew")
        self._obeyed[right] = now
