"""A rosbag2 recording as an MCAP file, of raw messages with their times of receipt."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from swarmhold.hardware.errors import MissingExtraError
from swarmhold.hardware.ring import Row

LEAST_FREE = 200 * 2**20  # bytes of disk below which nothing more is written
CHECK_EVERY = 500  # messages between two looks at the disk


class Bag:
    """One open recording."""

    def __init__(self, folder: Path, kinds: Mapping[str, type]) -> None:
        """Open a new folder for messages of these types by topic."""
        store = _typestore()
        self.folder, self.written = folder, 0
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, _name(kind), typestore=store)
            for topic, kind in kinds.items()
        }

    def write(self, row: Row) -> None:
        """One more message.

        Raises:
            OSError: the disk is full.
        """
        if self.written % CHECK_EVERY == 0:
            free = shutil.disk_usage(self.folder).free
            if free < LEAST_FREE:
                raise OSError(f"only {free // 2**20} MiB are left on the disk of {self.folder}")
        self.written += 1
        self._writer.write(self._connections[row.topic], row.at_ns, row.data)

    def close(self) -> None:
        """Finish the file, so that it can be read."""
        self._writer.close()


def _name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _typestore() -> Any:
    """Message definitions: the Jazzy ones, and ours as they were installed."""
    import swarmhold_msgs

    store = get_typestore(Stores.ROS2_JAZZY)
    share = next(
        parent / "share/swarmhold_msgs/msg"
        for parent in Path(swarmhold_msgs.__file__).parents
        if (parent / "share/swarmhold_msgs/msg").is_dir()
    )
    types: dict[str, Any] = {}
    for file in sorted(share.glob("*.msg")):
        types.update(get_types_from_msg(file.read_text(), f"swarmhold_msgs/msg/{file.stem}"))
    if not types:
        raise MissingExtraError("definitions of swarmhold_msgs are missing; run: make setup")
    store.register(types)
    return store
