"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a crash leaves the old one or the new one, never half of one.

    Args:
        path: file.
        write: writes all of it to the path that it is given.
    """
    part = path.with_suffix(path.suffix + ".part")
    try:
        write(part)
        os.replace(part, path)
    except BaseException:  # Ctrl-C and full disks leave nothing behind
        part.unlink(missing_ok=True)
        raise
