"""Whether the middleware here can do DDS security, and what its processes need to be told."""

from __future__ import annotations

import importlib.util
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from swarmhold.hardware.errors import MissingExtraError, NotReadyError
from swarmhold.hardware.security.access import Access
from swarmhold.hardware.security.keystore import missing_from

PLUGIN = b"builtin.PKI-DH"  # name that DDS Security gives the plugin for identities
LIBRARIES = ("libfastrtps.so*", "libfastdds.so*")


def can_secure() -> bool | None:
    """Whether Fast DDS was built with DDS security: its library names the plugin, or does not.

    Returns:
        None if there is no such library.
    """
    found = None
    for library in _libraries():
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as held:
            if held.find(PLUGIN) >= 0:
                return True
        found = False
    return found


def _libraries() -> Iterator[Path]:
    """Those of the environment that holds rclpy, then those on the library path."""
    spec = importlib.util.find_spec("rclpy")
    near = [parent / "lib" for parent in Path(spec.origin).parents] if spec and spec.origin else []
    path = [Path(part) for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
    for folder in (Path(sys.prefix) / "lib", *near, *path):
        for pattern in LIBRARIES:
            yield from (file for file in sorted(folder.glob(pattern)) if file.is_file())


def secured(keystore: Path, access: dict[str, Access]) -> dict[str, str]:
    """Environment of processes that join with security or not at all.

    Raises:
        MissingExtraError: the middleware cannot do it.
        NotReadyError: the keystore lacks something.
    """
    missing = missing_from(keystore, access)
    if missing:
        raise NotReadyError(
            f"{keystore} lacks {missing[0]} and {len(missing) - 1} more; make it from the fleet "
            "file: swarmhold keystore FLEET KEYSTORE"
        )
    if can_secure() is False:
        raise MissingExtraError(
            "the Fast DDS of this environment was built without DDS security; fly with an official "
            "ROS 2 installation, or take security out of the fleet file"
        )
    return {
        "ROS_SECURITY_KEYSTORE": str(keystore.resolve()),
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
    }
