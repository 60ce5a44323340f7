"""The page of an autopsy: one self-contained HTML file without scripts, in the gap's clothes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from swarmhold.hardware.report.flight import FOREVER
from swarmhold.hardware.report.page import LABELS
from swarmhold.policies.forensics.autopsy import ARMS, Autopsy, as_json
from swarmhold.policies.forensics.contagion_graph import graph
from swarmhold.policies.forensics.evidence import WORDS
from swarmhold.sim.gap.chart import LEFT, RIGHT, Line, Mark, plot, ticks

SMALL, WIDE, LANE = (360, 190), 900, 34  # pixels
STYLE = """<style>
.lane{fill:var(--line)}.truth{fill:none;stroke:var(--ink);stroke-dasharray:3 3;stroke-width:1.4}
.out{fill:var(--found);opacity:.55}.hit{fill:var(--sim);opacity:.3}.onset{fill:var(--sim)}
.line.failed{stroke:var(--sim);stroke-width:2.2}.line.rest{stroke:var(--quiet);opacity:.55;stroke-width:1.1}
.arrow{stroke:var(--sim);stroke-width:2;marker-end:url(#tip)}.node{fill:var(--card);stroke:var(--quiet);stroke-width:2}
.node.failed{fill:var(--sim);stroke:var(--sim)}.node.first{stroke:var(--ink);stroke-width:4}
.node.affected{fill:var(--band);stroke:var(--sim)}.who{text-anchor:middle;font-size:14px;fill:var(--ink)}
.legend .failed{border-color:var(--sim)}.legend .block{border:0;height:11px;vertical-align:-1px}
.side{display:grid;grid-template-columns:minmax(220px,300px) 1fr;gap:12px 32px;align-items:start}
@media(max-width:700px){.side{grid-template-columns:1fr}}</style>"""


def render(found: Autopsy) -> str:
    """The page, without any outside reference."""
    text = files("swarmhold.sim.gap").joinpath("page.html").read_text("utf-8")
    parts = [STYLE, _head(found), _lanes(found), _evidence(found), _spread(found), _mask(found)]
    title = escape(str(found.case.motions.folder))
    text = text.replace(": sim-to-real gap", ": autopsy").replace("<!--TITLE-->", title)
    return text.replace("<!--BODY-->", "\n".join([*parts, _limits()]))


def _section(title: str, lead: str, body: str) -> str:
    return (
        f"<section><header><h2>{escape(title)}</h2><p>{escape(lead)}</p></header>{body}</section>"
    )


def _head(found: Autopsy) -> str:
    info, first = found.case.motions.info, found.first
    what = f"{info.get('name', '')}, {found.case.n} robots of class {info['robot']}, "
    what += f"{found.case.ended:.0f} s"
    agrees = {True: "agrees", False: "disagrees", None: "took nobody out"}[found.agrees]
    if first is None:
        story, tiles = "Nobody failed.", [("nobody", "failed first", "")]
    else:
        story = f"Robot {first.robot} failed first: it {WORDS[first.onsets[0].channel]}."
        chain = " → ".join(map(str, found.chain))
        tiles = [
            (f"robot {first.robot}", "failed first", f"at {first.t:.2f} s"),
            (f"{found.confidence:.2f}", "confidence", "a rule of thumb, no probability"),
            (chain, "path of the contagion", "by the policy's own attention to others"),
        ]
    verdict = next(iter(found.verdicts), None)
    more = "" if verdict is None else f"robot {verdict.robot}, {verdict.state}, {verdict.t:.2f} s"
    tiles.append((agrees, "the supervisor", more))
    made = "".join(
        f"<div class='tile'><b>{escape(value)}</b><span>{escape(name)}</span>"
        f"<i>{escape(note)}</i></div>"
        for value, name, note in tiles
    )
    return (
        f"<section><header><h2>{escape(story)}</h2><p>{escape(str(found.case.motions.folder))}: "
        f"{escape(what)}.</p></header><div class='tiles'>{made}</div></section>"
    )


def _lanes(found: Autopsy) -> str:
    """One lane per robot."""
    case = found.case
    end = max(case.ended, 1e-3)
    high = LANE * case.n + 24

    def x(t: float) -> float:
        return LEFT + min(max(t / end, 0.0), 1.0) * (WIDE - LEFT - RIGHT)

    def bar(kind: str, robot: int, since: float, until: float, title: str, thin: int = 0) -> str:
        y, width = LANE * robot + 8 + thin, max(x(until) - x(since), 2.0)
        return (
            f"<rect class='{kind}' x='{x(since):.1f}' y='{y}' width='{width:.1f}' "
            f"height='{LANE - 14 - 2 * thin}'><title>{escape(title)}</title></rect>"
        )

    out = [f"<svg viewBox='0 0 {WIDE} {high}' role='img' aria-label='time line'>"]
    for robot in range(case.n):
        out.append(f"<text class='name' x='2' y='{LANE * robot + 22}'>robot {robot}</text>")
        out.append(bar("lane", robot, 0.0, end, "in the team", 5))
    for verdict in found.verdicts:
        for since, until in _out(found, verdict.robot):
            out.append(bar("out", verdict.robot, since, until, verdict.state, 5))
    for robot, t in found.course.affected.items() if found.course else ():
        out.append(bar("hit", robot, t, end, f"affected from {t:.2f} s on"))
    for fault in case.motions.faults:
        until = min(fault.end, end) if fault.end < FOREVER else end
        label = f"done on purpose: {LABELS.get(fault.kind, fault.kind)}"
        out.append(bar("truth", fault.robot, fault.start, until, label))
    for failure in found.failures:
        for one in failure.onsets:
            title = f"{one.t:.2f} s, {one.channel}: {one.sigma:.0f} sigma"
            out.append(
                f"<circle class='onset' cx='{x(one.t):.1f}' cy='{LANE * one.robot + 18}' r='5'>"
                f"<title>{title}</title></circle>"
            )
    for t in ticks(0.0, end):
        out.append(f"<text class='tick' x='{x(t):.1f}' y='{high - 4}'>{t:g} s</text>")
    legend = (
        "<div class='legend'><span>&#9679; change point</span><span><i class='block' "
        "style='background:var(--sim);opacity:.3'></i>affected</span><span><i class='block' "
        "style='background:var(--found);opacity:.55'></i>out of the team by the supervisor</span>"
        "<span><i class='block' style='outline:1.4px dashed var(--ink)'></i>broken on purpose, "
        "as the launcher noted it; the autopsy does not look at it</span></div>"
    )
    rows = "".join(_row(found, robot) for robot in range(case.n))
    table = (
        "<div class='scroll'><table><tr><th>robot<th>change points<th>supervisor<th>course"
        f"</tr>{rows}</table></div>"
    )
    return _section(
        "Time line", "One lane for each robot.", "".join(out) + "</svg>" + legend + table
    )


def _out(found: Autopsy, robot: int) -> list[tuple[float, float]]:
    """Spans in which the supervisor gave a robot less than half."""
    t = np.array([t for t, _ in found.case.tables])
    low = np.array([table.weights[robot] < 0.5 for _, table in found.case.tables])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(int)))
    last = np.append(t, t[-1])
    return [(float(last[a]), float(last[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _row(found: Autopsy, robot: int) -> str:
    points = [
        f"{o.t:.2f} s {o.channel} ({o.sigma:.0f} sigma)"
        for f in found.failures if f.robot == robot for o in f.onsets
    ]  # fmt: skip
    said = [
        f"{v.t:.2f} s {v.state} ({', '.join(v.reasons)})"
        for v in found.verdicts if v.robot == robot
    ]  # fmt: skip
    course = ""
    if found.course is not None and robot in found.course.affected:
        by = [f" by robot {e.source}" for e in found.course.edges if e.robot == robot]
        course = f"affected{''.join(by)} from {found.course.affected[robot]:.2f} s"
    elif found.course is not None and robot in found.course.unlike:
        course = "its twins went another way before"
    cells = "".join(f"<td>{escape(c)}</td>" for c in ("; ".join(points), "; ".join(said), course))
    return f"<tr><td>{robot}</td>{cells}</tr>"


def _evidence(found: Autopsy) -> str:
    failed, plots = {one.robot for one in found.failures}, []
    for channel, words in WORDS.items():
        mine = [one for one in found.series if one.channel == channel]
        mine.sort(key=lambda one: one.robot in failed)
        lines = [
            Line(one.t, np.clip(one.size, 0.0, 20.0), "failed" if one.robot in failed else "rest",
                 f"robot {one.robot}") for one in mine
        ]  # fmt: skip
        drawn = plot(lines, "s", "sigma (cut at 20)", _marks(found), SMALL)
        if drawn:
            plots.append(
                f"<figure><figcaption>{channel}: a robot that {words}</figcaption>{drawn}</figure>"
            )
    lead = "Orange: robots with a change point. Sigmas are those of all robots together."
    return _section("Evidence", lead, f"<div class='plots'>{''.join(plots)}</div>")


def _marks(found: Autopsy) -> list[Mark]:
    return [] if found.first is None else [Mark(found.first.t, "plain")]


def _spread(found: Autopsy) -> str:
    course = found.course
    if course is None:
        return _section("How it spread", "Not looked at: no twins were flown.", "")
    first, n = found.first, found.case.n
    failed = [one.robot for one in found.failures]
    picture = graph(
        n, course.edges, failed, list(course.affected), None if first is None else first.robot
    )
    off = [Line(course.t, course.off[:, i], _kind(found, i), f"robot {i}") for i in range(n)]
    plots = [("distance from the twins", plot(off, "s", "m", _marks(found), SMALL))]
    if course.stage1 is not None:
        one = course.stage1
        named = "nobody is flagged" if one.first is None else f"robot {one.first} at {one.at:.1f} s"
        lines = [
            Line(one.t, np.minimum(one.sigmas[:, i], 20.0), _kind(found, i), f"robot {i}")
            for i in range(n)
        ]
        plots.append(
            (f"stage 1 of Patient-0: {named}", plot(lines, "s", "sigma", _marks(found), SMALL))
        )
    shown = "".join(f"<figure><figcaption>{escape(n)}</figcaption>{p}</figure>" for n, p in plots)
    lead = (
        "Against flights of the simulator from where the recording begins, without a failure. "
        f"They were {100 * course.mismatch_m:.1f} cm off the recording before anything failed."
    )
    if course.unlike:
        lead += (
            f" Those of robot {', '.join(map(str, course.unlike))} were too far off to judge it."
        )
    return _section(
        "How it spread", lead, f"<div class='side'>{picture}<div class='plots'>{shown}</div></div>"
    )


def _kind(found: Autopsy, robot: int) -> str:
    return "failed" if robot in [one.robot for one in found.failures] else "rest"


def _mask(found: Autopsy) -> str:
    masked = found.masked
    if masked is None:
        return ""
    told = as_json(found)["masked"]
    kinds = {"as_it_was": "real", "masked": "", "never_masked": "sim"}
    lines = []
    for arm, flights in masked.flown.items():
        values = np.mean([one.error for one in flights], axis=0)
        lines.append(Line(flights[0].error_t, values, kinds[arm], ARMS[arm]))
    drawn = plot(lines, "s", "task error, m", [Mark(masked.at, "plain")])
    rows = "".join(
        f"<tr><td>{ARMS[arm]}</td><td>{error:.4f} m</td></tr>"
        for arm, error in told["error_m"].items()
    )
    low, high = told["gain_range_m"]
    lead = (
        f"The same flight in the twin ({told['twins']} of each arm), robot {masked.robot} at "
        f"weight 0 from {masked.at:g} s on: it would have gained {told['gain_m']:.4f} m of task "
        f"error ({low:.4f} to {high:.4f}). Failed robots do what they did and do not count."
    )
    legend = (
        "<div class='legend'><span><i class='real'></i>as it was</span><span><i></i>masked</span>"
        "<span><i class='sim'></i>never masked</span></div>"
    )
    table = f"<table><tr><th>arm<th>mean task error from then on</tr>{rows}</table>"
    body = f"<div class='plots pair'><figure>{drawn}{legend}</figure><div>{table}</div></div>"
    return _section(f"Had robot {masked.robot} been masked at {masked.at:g} s", lead, body)


def _limits() -> str:
    lines: Sequence[str] = (
        "This is hindsight: with the whole recording and a simulator. It is never used to mask a "
        "robot; the supervisor's evidence is on its own.",
        "Change points are where a CUSUM that alarms began to rise. The earliest counts; within "
        "0.3 s the largest in sigmas.",
        "Who was affected by whom is a hypothesis: it was elsewhere than its twins after the "
        "failure, and its policy heeds who is named.",
    )
    items = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f"<section><h3>How to read this</h3>{items}</section>"
