"""Which code made a figure."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str:
    """Of the code that ran; empty outside a repository, with a + where files were changed."""
    here = Path(__file__).parent
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty=+"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip()
