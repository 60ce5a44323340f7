"""Tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDE = 200  # columns that a file or a pipe has; a table takes what it needs of them


def print_tables(*tables: Table) -> None:
    """Tables on standard output: as wide as a terminal is, or as they need to be elsewhere."""
    terminal = Console().is_terminal
    for table in tables:
        Console(width=None if terminal else WIDE).print(table)
