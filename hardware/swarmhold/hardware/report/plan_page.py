"""The page of a fault plan: what was broken, what became of it, and what it cost.

One self-contained HTML file without scripts; of two runs, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.compare import (
    Fate,
    Line,
    compare,
    names_of,
    over,
    reasons,
    summary,
    verdict,
)
from swarmhold.hardware.report.html import (
    UNKNOWN,
    Html,
    between,
    centimetres,
    chapter,
    document,
    legend,
    number,
    of,
    percent,
    quiet,
    seconds,
    table,
    tiles,
)

Told = Mapping[str, Any]
WORLDS = {
    "sim": "SIMULATION",
    "ros": "LIVE NODES, SIMULATED ROBOTS",
    "emulated": "EMULATED ROBOTS",
    "hardware": "HARDWARE",
}
ARMS = {
    "free": "nothing broken",
    "none": "no re-weighting",
    "supervisor": "supervisor",
    "oracle": "oracle",
}
TIME_LINE = (
    "Upper bar: what was broken; dashed where it had no effect. "
    "Lower bar: what the supervisor said. "
)
PHASES = ("broken", "kept out", "calm")
LANE, LEFT, WIDTH = 34, 78, 1060  # pixels
LETTER = 8.5  # pixels, of words in bars
LEGEND = legend(
    ("fault", "broken"),
    ("healthy", "trusted"),
    ("suspect", "doubted"),
    ("lost", "lost"),
    ("quarantined", "quarantined"),
    ("probation", "on probation"),
)
_SIGNS = {
    "SUSPECT": "?",
    "LOST": "lost",
    "QUARANTINED": "out",
    "PROBATION": "prob.",
    "ESTOPPED": "stop",
}


def render(runs: Sequence[Told]) -> str:
    """The page.

    Args:
        runs: what `faults run` stored, of one plan where there are several.
    """
    title = " and ".join(dict.fromkeys(str(run["plan"]["name"]) for run in runs))
    parts = [_compared(runs)] if len(runs) > 1 else []
    parts += [_run(run) for run in runs]
    style = files("swarmhold.hardware.report").joinpath("plan_page.css").read_text("utf-8")
    return document(f"{title}: fault plan", parts, (style,))


def _run(run: Told) -> Html:
    plan, world = run["plan"], WORLDS.get(run["world"], run["world"].upper())
    through = run.get("link") or over(run)
    world += f": {through.upper()}" if through else ""
    what = f"{run['bundle']}, {plan['robots']} robots, {run['scenario']}, seed {plan['seed']}"
    aborted = Html(f"<p class='alarm'>Aborted: {of(run['aborted'])}</p>" if run["aborted"] else "")
    body = Html(f"""
{_tiles(run)}
<h3>Time line</h3>{quiet(TIME_LINE + _of_flights(run))}
{LEGEND}
{_lanes(run)}
<h3>Faults</h3>{_faults(run)}
<div class="pair"><div><h3>Task retained</h3>{_arms(run)}</div>
<div><h3>Verdict by kind</h3>{_confusion(run)}</div></div>
""")
    return chapter(plan["name"], what, aborted, body, sign=world)


def _of_flights(run: Told) -> str:
    number = len(run["rows"])
    return f"The first of {number} flights; all count in the figures." if number > 1 else ""


def _tiles(run: Told) -> Html:
    found = run["figures"]
    delay, rate = found["detection_delay_s"], found["false_alarms_per_robot_hour"]
    rows = [
        (f"{found['to_be_found'] - found['missed']} of {found['to_be_found']}", "found", ""),
        (seconds(delay["p50"]), "delay, p50", between(delay["p50_interval"], "s")),
        (seconds(delay["p95"]), "delay, p95", between(delay["p95_interval"], "s")),
        (percent(found["attribution"]), "right robot first", ""),
        (number(rate[0]), "false alarms per robot-hour", between(rate[1:])),
        (number(found["collateral_per_fault"]), "healthy ones out per fault", ""),
        (_collisions(run, found["arms"]["supervisor"]), "collisions", ""),
    ]
    if found["deadline_misses"] is not None:
        rows.append((percent(found["deadline_misses"], 2), "deadlines missed", ""))
    return tiles(rows)


def _collisions(run: Told, arm: Told) -> str:
    """Of robots behind links nobody knows."""
    return "not known" if run.get("link") else str(arm["collisions"])


def _lanes(run: Told) -> Html:
    """One lane for each robot, as SVG."""
    lanes, rows = run["lanes"], run["rows"][0]
    end, n = max(float(lanes["end_s"]), 1.0), len(lanes["robots"])
    scale, height = (WIDTH - LEFT - 10) / end, n * LANE + 30
    out = [
        f"<svg class='lanes' viewBox='0 0 {WIDTH} {height}' role='img' "
        f"aria-label='time line of {n} robots'>"
    ]
    step = next(s for s in (5, 10, 20, 30, 60, 120, 300, 600, 1e9) if end / s <= 16)
    for k in range(int(end // step) + 1):
        x = LEFT + k * step * scale
        out.append(f"<line class='grid' x1='{x:.1f}' x2='{x:.1f}' y1='4' y2='{height - 22}'/>")
        out.append(f"<text class='tick' x='{x:.1f}' y='{height - 6}'>{k * step:g} s</text>")
    for robot, turns in enumerate(lanes["robots"]):
        y = robot * LANE + 6
        out.append(f"<text class='name' x='4' y='{y + 18}'>robot {robot}</text>")
        for (since, state), until in zip(turns, [*(t for t, _ in turns[1:]), end], strict=True):
            name = HealthState(state).name
            x, wide = LEFT + since * scale, max((until - since) * scale, 1.0)
            out.append(
                f"<rect class='state {name.lower()}' x='{x:.1f}' y='{y + 13}' "
                f"width='{wide:.1f}' height='12'><title>{name.lower()}, {since:.1f} to "
                f"{until:.1f} s</title></rect>"
            )
            if name in _SIGNS and wide > LETTER * len(_SIGNS[name]) + 4:
                out.append(
                    f"<text class='sign' x='{x + 3:.1f}' y='{y + 22.5}'>{_SIGNS[name]}</text>"
                )
    for row in rows:
        x, y = LEFT + row["start_s"] * scale, row["robot"] * LANE + 6
        wide = max((row["end_s"] - row["start_s"]) * scale, 2.0)
        dull = "" if row["status"] in ("applied", "healed by itself") else " dull"
        beside = wide < LETTER * len(row["kind"]) + 4
        where, side = (x + wide + 3, " beside") if beside else (x + 3, "")
        out.append(
            f"<rect class='fault{dull}' x='{x:.1f}' y='{y}' width='{wide:.1f}' height='11'>"
            f"<title>{of(row['kind'])}, {row['status']}</title></rect>"
            f"<text class='kind{side}' x='{where:.1f}' y='{y + 9}'>{of(row['kind'])}</text>"
        )
    return Html("".join(out) + "</svg>")


def _faults(run: Told) -> Html:
    head = ("", "fault", "robot", "at", "for", "status", "suspected", "confirmed", "verdict",
            "healed", "team recovered", "healthy ones out")  # fmt: skip
    unrecovered = "never" if "free" in run["figures"]["arms"] else UNKNOWN
    return table(head, [_fault(row, unrecovered) for row in run["rows"][0]])


def _fault(row: Mapping[str, Any], unrecovered: str) -> list[str]:
    late = seconds(row["confirmed_s"]) if row["to_be_found"] else _unjust(row)
    if row["out_before"]:
        late = Html("<span class='quiet'>was out before</span>")
    severity = "" if row["severity"] == 1.0 else f", {row['severity']:g}"
    how = f"{row['unit']}/{row['type']}{severity}"
    return [
        str(row["index"] + 1),
        Html(f"{_bold(row['kind'])} <span class='quiet'>{of(how)}</span>"),
        str(row["robot"]),
        f"{row['start_s']:.1f} s",
        f"{row['end_s'] - row['start_s']:.1f} s",
        Html(f"<span class='status {row['status'].split()[0]}'>{of(row['status'])}</span>"),
        seconds(row["suspected_s"]),
        late,
        row["verdict"].lower(),
        seconds(row["healed_s"]),
        seconds(row["recovered_s"], unrecovered),
        ", ".join(map(str, row["harmed"])) or "none",
    ]


def _unjust(row: Mapping[str, Any]) -> Html:
    """A fault for which nobody is to be taken out of the team."""
    if row["confirmed_s"] is None:
        return Html("<span class='quiet'>stays in, as it should</span>")
    return Html(f"<span class='alarm'>{seconds(row['confirmed_s'])}, unjust</span>")


def _arms(run: Told) -> Html:
    rows = []
    for source, arm in run["figures"]["arms"].items():
        kept = arm["retained"]
        wide = 0.0 if kept is None else min(max(kept, 0.0), 1.0)
        bar = Html(f"<div class='bar'><div style='width:{100 * wide:.0f}%'></div></div>")
        error = "" if arm["error_m"] is None else centimetres(arm["error_m"])
        parts = map(arm.get("error_by_phase_m", {}).get, PHASES)
        times = ("" if part is None else centimetres(part) for part in parts)
        cells = (ARMS.get(source, source), bar, percent(kept), error, *times)
        rows.append((*cells, _collisions(run, arm)))
    note = (
        "Share of the gain over a team that does nothing which is kept while robots break: "
        "(floor - error) / (floor - error without faults). Parts of the error: while a fault acts; "
        "while none does, but the supervisor keeps somebody out; else."
    )
    made = table(("weights from", "", "retained", "task error", *PHASES, "collisions"), rows)
    return Html(made + quiet(note))


def _confusion(run: Told) -> Html:
    found = run["figures"]["confusion"]
    verdicts = [str(s.name) for s in HealthState if any(s.name in row for row in found.values())]
    rows = [
        (kind, *(str(row.get(verdict, "")) for verdict in verdicts)) for kind, row in found.items()
    ]
    return table(("kind", *(verdict.lower() for verdict in verdicts)), rows)


def _compared(runs: Sequence[Told]) -> Html:
    """Row by row, which faults all found, and why some did not."""
    lines, names = compare(runs), names_of(runs)
    rows = []
    for line in lines:
        agreed = "yes" if line.agrees else Html("<span class='alarm'>no</span>")
        which = (str(line.index + 1), _bold(line.kind), str(line.robot))
        rows.append((*which, *(_cell(line, fate) for fate in line.fates), agreed))
    told = "".join(
        f"<li>{_bold(f'{line.index + 1} {line.kind}')}, {of(text)}</li>"
        for line in lines
        for text in reasons(line, names)
    )
    made = table(("", "fault", "robot", *names, "agree"), rows)
    note = quiet("Seconds until the robot was taken out of the team, or why it was not.")
    return chapter("Compared", summary(lines, len(names)), made, note, Html(f"<ul>{told}</ul>"))


def _cell(line: Line, fate: Fate) -> str:
    text = verdict(line, fate)
    right = fate.detected == line.to_be_found
    return text if right else Html(f"<span class='status no'>{of(text)}</span>")


def _bold(text: str) -> Html:
    return Html(f"<b>{of(text)}</b>")
