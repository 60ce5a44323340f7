"""The page of a fault plan: what was broken, what became of it, and what it cost.

One self-contained HTML file without scripts; of several runs, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.compare import (
    Fate,
    Line,
    compare,
    names_of,
    reasons,
    summary,
    verdict,
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
PHASES = ("broken", "kept out", "calm")
LANE, LEFT, WIDTH = 34, 78, 1060  # pixels
LEGEND = "<p class='legend'>" + "".join(
    f"<span><i class='{name}'></i>{text}</span>"
    for name, text in (
        ("fault", "broken"),
        ("healthy", "trusted"),
        ("suspect", "doubted"),
        ("lost", "lost"),
        ("quarantined", "quarantined"),
        ("probation", "on probation"),
    )
) + "</p>"  # fmt: skip
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
    text = files("swarmhold.hardware.report").joinpath("plan_page.html").read_text("utf-8")
    title = " and ".join(dict.fromkeys(str(run["plan"]["name"]) for run in runs))
    parts = [_compared(runs)] if len(runs) > 1 else []
    parts += [_run(run) for run in runs]
    return text.replace("<!--TITLE-->", escape(title)).replace("<!--BODY-->", "\n".join(parts))


def _run(run: Told) -> str:
    plan, world = run["plan"], WORLDS.get(run["world"], run["world"].upper())
    world += f": {run['link'].upper()}" if run.get("link") else ""
    what = f"{run['bundle']}, {plan['robots']} robots, {run['scenario']}, seed {plan['seed']}"
    aborted = f"<p class='alarm'>Aborted: {escape(run['aborted'])}</p>" if run["aborted"] else ""
    return f"""<section>
<header><h2>{escape(plan["name"])}</h2><span class="world">{escape(world)}</span>
<p>{escape(what)}</p></header>{aborted}
{_tiles(run)}
<h3>Time line</h3><p class="quiet">Upper bar: what was broken; dashed where it had no effect.
Lower bar: what the supervisor said. {_of_flights(run)}</p>
{LEGEND}
{_lanes(run)}
<h3>Faults</h3>{_faults(run)}
<div class="pair"><div><h3>Task retained</h3>{_arms(run)}</div>
<div><h3>Verdict by kind</h3>{_confusion(run)}</div></div>
</section>"""


def _of_flights(run: Told) -> str:
    number = len(run["rows"])
    return f"The first of {number} flights; all count in the figures." if number > 1 else ""


def _tiles(run: Told) -> str:
    found = run["figures"]
    delay, rate = found["detection_delay_s"], found["false_alarms_per_robot_hour"]
    tiles = [
        ("found", f"{found['to_be_found'] - found['missed']} of {found['to_be_found']}", ""),
        ("delay, p50", _s(delay["p50"]), _range(delay["p50_interval"], "s")),
        ("delay, p95", _s(delay["p95"]), _range(delay["p95_interval"], "s")),
        ("right robot first", _percent(found["attribution"]), ""),
        ("false alarms per robot-hour", _number(rate[0]), _range(rate[1:], "")),
        ("healthy ones out per fault", _number(found["collateral_per_fault"]), ""),
        ("collisions", _collisions(run, found["arms"]["supervisor"]), ""),
    ]
    if found["deadline_misses"] is not None:
        tiles.append(("deadlines missed", _percent(found["deadline_misses"], 2), ""))
    made = (
        f"<div class='tile'><b>{value}</b><span>{name}</span><i>{more}</i></div>"
        for name, value, more in tiles
    )
    return f"<div class='tiles'>{''.join(made)}</div>"


def _collisions(run: Told, arm: Told) -> str:
    """Of robots behind links nobody knows."""
    return "not known" if run.get("link") else str(arm["collisions"])


def _lanes(run: Told) -> str:
    """One lane for each robot, as SVG."""
    lanes, rows = run["lanes"], run["rows"][0]
    end, n = max(float(lanes["end_s"]), 1.0), len(lanes["robots"])
    scale, height = (WIDTH - LEFT - 10) / end, n * LANE + 30
    out = [f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='time line of {n} robots'>"]
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
            if name in _SIGNS and wide > 6 * len(_SIGNS[name]) + 4:
                out.append(
                    f"<text class='sign' x='{x + 3:.1f}' y='{y + 22.5}'>{_SIGNS[name]}</text>"
                )
    for row in rows:
        x, y = LEFT + row["start_s"] * scale, row["robot"] * LANE + 6
        wide = max((row["end_s"] - row["start_s"]) * scale, 2.0)
        dull = "" if row["status"] in ("applied", "healed by itself") else " dull"
        beside = wide < 6 * len(row["kind"]) + 4
        where, side = (x + wide + 3, " beside") if beside else (x + 3, "")
        out.append(
            f"<rect class='fault{dull}' x='{x:.1f}' y='{y}' width='{wide:.1f}' height='11'>"
            f"<title>{escape(row['kind'])}, {row['status']}</title></rect>"
            f"<text class='kind{side}' x='{where:.1f}' y='{y + 9}'>{escape(row['kind'])}</text>"
        )
    return "".join(out) + "</svg>"


def _faults(run: Told) -> str:
    head = ("", "fault", "robot", "at", "for", "status", "suspected", "confirmed", "verdict",
            "healed", "team recovered", "healthy ones out")  # fmt: skip
    body = []
    for row in run["rows"][0]:
        late = _s(row["confirmed_s"]) if row["to_be_found"] else _unjust(row)
        late = "<span class='quiet'>was out before</span>" if row["out_before"] else late
        cells = [
            str(row["index"] + 1),
            f"<b>{escape(row['kind'])}</b> <span class='quiet'>{row['unit']}/{row['type']}"
            f"{'' if row['severity'] == 1.0 else ', ' + format(row['severity'], 'g')}</span>",
            str(row["robot"]),
            f"{row['start_s']:.1f} s",
            f"{row['end_s'] - row['start_s']:.1f} s",
            f"<span class='status {row['status'].split()[0]}'>{row['status']}</span>",
            _s(row["suspected_s"]),
            late,
            row["verdict"].lower(),
            _s(row["healed_s"]),
            _s(row["recovered_s"]),
            ", ".join(map(str, row["harmed"])) or "none",
        ]
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return _table(head, body)


def _unjust(row: Mapping[str, Any]) -> str:
    """A fault for which nobody is to be taken out of the team."""
    if row["confirmed_s"] is None:
        return "<span class='quiet'>stays in, as it should</span>"
    return f"<span class='alarm'>{_s(row['confirmed_s'])}, unjust</span>"


def _arms(run: Told) -> str:
    body = []
    for source, arm in run["figures"]["arms"].items():
        kept = arm["retained"]
        wide = 0.0 if kept is None else min(max(kept, 0.0), 1.0)
        bar = f"<div class='bar'><div style='width:{100 * wide:.0f}%'></div></div>"
        error = "" if arm["error_m"] is None else f"{100 * arm['error_m']:.1f} cm"
        parts = arm.get("error_by_phase_m", {})
        times = ("" if p is None else f"{100 * p:.1f}" for p in map(parts.get, PHASES))
        cells = (
            *(ARMS.get(source, source), bar, _percent(kept), error, *times),
            _collisions(run, arm),
        )
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    note = (
        "<p class='quiet'>Share of the gain over a team that does nothing which is kept while "
        "robots break: (floor - error) / (floor - error without faults). Parts of the error, cm: "
        "while a fault acts; while none does, but the supervisor keeps somebody out; else.</p>"
    )
    head = ("weights from", "", "retained", "task error", *PHASES, "collisions")
    return _table(head, body) + note


def _confusion(run: Told) -> str:
    found = run["figures"]["confusion"]
    verdicts = [str(s.name) for s in HealthState if any(s.name in row for row in found.values())]
    body = [
        f"<tr><td>{escape(kind)}</td>"
        + "".join(f"<td>{row.get(verdict, '')}</td>" for verdict in verdicts)
        + "</tr>"
        for kind, row in found.items()
    ]
    return _table(("kind", *(verdict.lower() for verdict in verdicts)), body)


def _compared(runs: Sequence[Told]) -> str:
    """Row by row, which faults all found, and why some did not."""
    lines, names = compare(runs), names_of(runs)
    body = []
    for line in lines:
        cells = [str(line.index + 1), f"<b>{escape(line.kind)}</b>", str(line.robot)]
        cells += [_cell(line, fate) for fate in line.fates]
        cells.append("yes" if line.agrees else "<span class='alarm'>no</span>")
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    table = _table(("", "fault", "robot", *map(escape, names), "agree"), body)
    said = escape(summary(lines, len(names)))
    told = "".join(
        f"<li><b>{line.index + 1} {escape(line.kind)}</b>, {escape(text)}</li>"
        for line in lines for text in reasons(line, names)
    )  # fmt: skip
    note = (
        "<p class='quiet'>Seconds until the robot was taken out of the team, or why it was not.</p>"
    )
    head = f"<header><h2>Compared</h2><p>{said}</p></header>"
    return f"<section>{head}{table}{note}<ul>{told}</ul></section>"


def _cell(line: Line, fate: Fate) -> str:
    text = escape(verdict(line, fate))
    right = fate.detected == line.to_be_found
    return text if right else f"<span class='status no'>{text}</span>"


def _table(head: Sequence[str], body: Sequence[str]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    return f"<div class='scroll'><table><tr>{cells}</tr>{''.join(body)}</table></div>"


def _s(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _percent(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{100 * value:.{digits}f} %"


def _range(edges: Sequence[float | None], unit: str) -> str:
    if all(edge is None for edge in edges):
        return ""
    low, high = ("?" if edge is None else f"{edge:.2f}" for edge in edges)
    return f"{low} to {high} {unit}".strip()
