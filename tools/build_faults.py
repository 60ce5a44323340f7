"""Build step: seals into the package's metadata that an installation can break robots on purpose.

Off unless `SWARMHOLD_FAULTS=1` is set while the package is built. What runs later cannot change it:
the marker lies beside the package's other metadata, with its hash in `RECORD`.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FaultsHook(BuildHookInterface[Any]):
    """Adds the marker that `swarmhold.hardware.injection.gate` looks for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built, editable or not."""
        if os.environ.get("SWARMHOLD_FAULTS") == "1":
            build_data["extra_metadata"]["tools/faults.txt"] = "faults"
