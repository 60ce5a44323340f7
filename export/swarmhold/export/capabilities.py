"""What can be done of every kind of fault in which world: a table of flights, not of intentions.

Its cells are outcomes of plans that were flown (`faults run every-kind`), as the effect probes saw
them. What a link lacks is said by `drivers.links`; tests hold the two against each other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from swarmhold.hardware.drivers.links import LACKS
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.report.compare import world_of

WORLDS = ("sim", "ros", "crazyflie", "mavlink", "twist", "hardware")
NOT_TRIED = "not tried"
SHIPPED = files("swarmhold.export").joinpath("capabilities.json")
Cell = dict[str, Any]  # `status`, `reason` if unsupported; of so many tries so many by outcome
Table = dict[str, dict[str, Cell]]  # by world, by kind


def shipped() -> Table:
    """The table that was measured with this version."""
    found: Table = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return found


def columns(reports: Iterable[Mapping[str, Any]], upon: Table | None = None) -> Table:
    """Cells of all worlds that the reports of flown plans are of.

    Args:
        reports: of flown plans.
        upon: table whose tries in these worlds count as well; None: there are none.

    Raises:
        ConfigError: a report is of none of them.
    """
    seen: dict[str, dict[str, Counter[str]]] = {}
    for report in reports:
        world = world_of(report)
        if world not in WORLDS:
            raise ConfigError(f"a report is of {world!r}; columns are {', '.join(WORLDS)}")
        if world not in seen:
            before = (upon or {}).get(world, {})
            seen[world] = {k: Counter(cell.get("tries", {})) for k, cell in before.items()}
        for row in (row for own in report["rows"] for row in own):
            seen.setdefault(world, {}).setdefault(row["kind"], Counter())[row["status"]] += 1
    return {
        world: {kind: _cell(world, kind, kinds.get(kind, Counter())) for kind in KINDS}
        for world, kinds in seen.items()
    }


def _cell(world: str, kind: str, counts: Counter[str]) -> Cell:
    counts.pop("not injected", None)
    if not counts:
        return {"status": NOT_TRIED}
    took = counts["applied"] + counts["healed by itself"]
    status = "applied" if took else counts.most_common(1)[0][0]
    cell: Cell = {"status": status, "tries": dict(counts)}
    if status == "unsupported":
        cell["reason"] = LACKS.get(world, {}).get(kind, "nobody said that it was done")
    return cell


def beyond(table: Table, world: str, faults: Sequence[FaultSpec]) -> list[str]:
    """What a world cannot do of a plan, one line each."""
    lines = []
    for fault in faults:
        cell = table.get(world, {}).get(fault.kind, {})
        if cell.get("status") == "unsupported":
            lines.append(f"{fault.kind} at {fault.start_s:g} s: {cell['reason']}")
    return lines


def markdown(table: Table) -> str:
    """A row for each kind, a column for each world, and what is to be known of it."""
    out = [
        "| kind | " + " | ".join(WORLDS) + " |",
        "|---|" + "---|" * len(WORLDS),
    ]
    reasons: list[str] = []
    for kind in KINDS:
        cells = [_said(table.get(world, {}).get(kind, {}), reasons) for world in WORLDS]
        out.append(f"| `{kind}` | " + " | ".join(cells) + " |")
    out += ["", *(f"[{number}] {reason}" for number, reason in enumerate(reasons, 1))]
    return "\n".join(out).rstrip() + "\n"


def _said(cell: Cell, reasons: list[str]) -> str:
    status = cell.get("status", NOT_TRIED)
    if status == "unsupported":
        if cell["reason"] not in reasons:
            reasons.append(cell["reason"])
        return f"unsupported [{reasons.index(cell['reason']) + 1}]"
    tries = cell.get("tries", {})
    total = sum(tries.values())
    took = tries.get("applied", 0) + tries.get("healed by itself", 0)
    return f"{status}, {took} of {total}" if total > 1 else str(status)
