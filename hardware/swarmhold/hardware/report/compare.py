"""One fault plan in several worlds, row by row: who found which fault, and why others did not.

All of it is drawn from the reports of the worlds; nothing is known here that they do not say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from swarmhold.hardware.drivers.links import LACKS
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.expectations import EXPECTED
from swarmhold.hardware.faults import BODY_KINDS
from swarmhold.hardware.health import HealthState

Told = Mapping[str, Any]
STANDS_MPS = 0.02  # below which broken motors have nothing to show
MISSED = "missed"  # it acted, and was not found: the only reason that speaks against detectors
_STOPPED = "it lay on the ground, stopped"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one fault in one world.

    Attributes:
        flights: that were flown.
        found: in how many the robot was taken out of the team for it.
        delay_s: after its onset, median of these; None: in none.
        reason: why it was not found, the commonest of the flights without; "" where there is none.
        why: the same in words; of a robot that is not to be taken out, why it was.
    """

    flights: int
    found: int
    delay_s: float | None
    reason: str
    why: str

    @property
    def detected(self) -> bool:
        """In most of the flights."""
        return 2 * self.found > self.flights


@dataclass(frozen=True, slots=True)
class Line:
    """One fault of the plan in all worlds.

    Attributes:
        index: number in the plan.
        kind: of the fault.
        robot: roster index.
        to_be_found: whether it is to be taken out of the team for it.
        fates: one for each world.
    """

    index: int
    kind: str
    robot: int
    to_be_found: bool
    fates: tuple[Fate, ...]

    @property
    def agrees(self) -> bool:
        """Whether it was found everywhere or nowhere."""
        return len({fate.detected for fate in self.fates}) == 1

    @property
    def missed(self) -> bool:
        """Whether the worlds disagree and some world's detectors alone are to blame."""
        return not self.agrees and any(
            fate.reason == MISSED for fate in self.fates if not fate.detected
        )


def world_of(report: Told) -> str:
    """What a world is called: what robots are linked by, if they are."""
    return str(report.get("link") or report["world"])


def over(report: Told) -> str:
    """What its nodes met over, if not over loopback."""
    network = str(report.get("network") or "")
    return "" if network == "loopback" else network


def names_of(reports: Sequence[Told]) -> list[str]:
    """Of their worlds, told apart where two are of one."""
    names = [f"{world_of(report)} {over(report)}".strip() for report in reports]
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(f"{name} ({seen[name]})" if names.count(name) > 1 else name)
    return out


def compare(reports: Sequence[Told]) -> list[Line]:
    """All faults of the plan that these reports are of.

    Args:
        reports: what `faults run` stored, two or more.

    Raises:
        ConfigError: they are not of one plan.
    """
    plans = [[(row["kind"], row["robot"]) for row in report["rows"][0]] for report in reports]
    for report, plan in zip(reports, plans, strict=True):
        if plan != plans[0]:
            raise ConfigError(
                f"{world_of(report)} flew other faults than {world_of(reports[0])}; fly one plan "
                "in all of them, with one version"
            )
    return [_line(index, reports) for index in range(len(plans[0]))]


def _line(index: int, reports: Sequence[Told]) -> Line:
    row = reports[0]["rows"][0][index]
    fates = tuple(_fate(index, report) for report in reports)
    return Line(index, row["kind"], row["robot"], row["to_be_found"], fates)


def _fate(index: int, report: Told) -> Fate:
    rows = [flight[index] for flight in report["rows"]]
    found = [row for row in rows if row["confirmed_s"] is not None and not row["out_before"]]
    delay = median(row["confirmed_s"] for row in found) if found else None
    kind, counts = rows[0]["kind"], rows[0]["to_be_found"]
    if not counts:
        why = f"taken out for it, though {EXPECTED[kind].why_not}" if found else ""
        return Fate(len(rows), len(found), delay, "", why)
    lost = [_reason(row, report) for row in rows if row not in found]
    if not lost:
        return Fate(len(rows), len(found), delay, "", "")
    (reason, why), _ = Counter(lost).most_common(1)[0]
    return Fate(len(rows), len(found), delay, reason, why)


def _reason(row: Told, report: Told) -> tuple[str, str]:
    """Why a robot was not taken out for a fault, as a word and as a sentence."""
    status, kind = row["status"], row["kind"]
    if status == "unsupported":
        lacks = LACKS.get(world_of(report), {}).get(kind, "nobody said that it was done")
        return status, lacks
    if status == "not injected":
        return status, f"the flight had been aborted: {report['aborted']}"
    if row["out_before"]:
        state = str(row.get("before", "unknown"))  # reports of earlier versions do not say
        stopped = state == HealthState.ESTOPPED.name
        return "out before", _STOPPED if stopped else f"it was out of the team: {state.lower()}"
    if status == "no effect":
        speed = row.get("speed_mps")
        if speed is not None and speed < STANDS_MPS:
            return status, f"the robot stood still ({speed:.3f} m/s), so it had nothing to show"
        return status, "nothing could be seen of it"
    if status == "healed by itself":
        return status, "it acted no more before it could be found"
    doubt = "nobody doubted it"
    if row["suspected_s"] is not None:
        doubt = f"it was doubted after {row['suspected_s']:.2f} s, and not taken out"
    elif kind in BODY_KINDS and (row.get("speed_mps") or 0.0) < STANDS_MPS:
        doubt = f"the robot stood nearly still, and {doubt}"
    return MISSED, doubt + _company(row, report)


def _company(row: Told, report: Told) -> str:
    """Who else was not trusted meanwhile: where many look bad, nobody is taken out."""
    if len(report["rows"]) > 1:
        return ""  # lanes are of the first flight alone
    others = [
        str(robot)
        for robot, turns in enumerate(report["lanes"]["robots"])
        if robot != row["robot"] and _distrusted(turns, row["start_s"], row["end_s"])
    ]
    return f", while others ({', '.join(others)}) were not trusted either" if others else ""


def _distrusted(turns: Sequence[Sequence[float]], start: float, end: float) -> bool:
    """Whether a lane says anything but HEALTHY at some time."""
    ends = [*(since for since, _ in turns[1:]), float("inf")]
    return any(
        state != HealthState.HEALTHY and since <= end and until > start
        for (since, state), until in zip(turns, ends, strict=True)
    )


def summary(lines: Sequence[Line], worlds: int) -> str:
    """In one sentence."""
    differ = [line for line in lines if not line.agrees]
    missed = sum(line.missed for line in differ)
    said = f"{len(lines) - len(differ)} of {len(lines)} faults had the same fate in all {worlds}"
    if not differ:
        return f"{said} worlds."
    return (
        f"{said} worlds; {missed} acted somewhere and {'was' if missed == 1 else 'were'} missed "
        f"there, {len(differ) - missed} could not be found everywhere (not done, or nothing was to "
        "be seen)."
    )


def plain(lines: Sequence[Line], names: Sequence[str]) -> list[dict[str, Any]]:
    """For JSON: a row for each fault, in it a fate for each world."""
    return [
        {
            "fault": line.index + 1, "kind": line.kind, "robot": line.robot,
            "to_be_found": line.to_be_found, "agrees": line.agrees,
            "worlds": {
                name: {
                    "flights": fate.flights, "found": fate.found, "detected": fate.detected,
                    "delay_s": fate.delay_s, "reason": fate.reason, "why": fate.why,
                }
                for name, fate in zip(names, line.fates, strict=True)
            },
        }
        for line in lines
    ]  # fmt: skip


def verdict(line: Line, fate: Fate) -> str:
    """What a cell of a table says: after how long it was found, or why it was not."""
    share = "" if fate.flights == 1 else f", {fate.found} of {fate.flights}"
    if not line.to_be_found:
        return f"unjust{share}" if fate.detected else "stays in"
    if fate.found == 0:
        return fate.reason
    return f"{fate.delay_s:.2f} s{share}"


def reasons(line: Line, names: Sequence[str]) -> list[str]:
    """Every fate that is not as it should be, in words."""
    out = []
    for name, fate in zip(names, line.fates, strict=True):
        some = fate.flights - fate.found if line.to_be_found else fate.found
        share = "" if some == fate.flights else f" ({some} of {fate.flights} flights)"
        if fate.why:
            out.append(f"{name}{share}: {fate.why}")
    return out


def markdown(lines: Sequence[Line], names: Sequence[str]) -> list[str]:
    """A table with a row for each fault, and a sentence for each cell that asks for one."""
    out = [
        "| | fault | robot | " + " | ".join(names) + " | agree |",
        "|---" * (len(names) + 4) + "|",
    ]
    for line in lines:
        cells = [verdict(line, fate) for fate in line.fates]
        agree = "yes" if line.agrees else "**no**"
        place = f"| {line.index + 1} | `{line.kind}` | {line.robot} | "
        out.append(place + " | ".join(cells) + f" | {agree} |")
    told = [(line, text) for line in lines for text in reasons(line, names)]
    out += ["", *(f"- {line.index + 1}, `{line.kind}`, {text}." for line, text in told)]
    return out
