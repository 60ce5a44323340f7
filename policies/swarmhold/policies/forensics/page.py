"""The page of an autopsy: one self-contained HTML file without scripts."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.report.flight import FOREVER
from swarmhold.hardware.report.html import (
    Html,
    centimetres,
    chapter,
    document,
    figure,
    legend,
    of,
    plots,
    section,
    table,
    tiles,
)
from swarmhold.hardware.report.page import LABELS
from swarmhold.policies.forensics.autopsy import ARMS, Autopsy, as_json
from swarmhold.policies.forensics.contagion_graph import graph
from swarmhold.policies.forensics.evidence import WORDS
from swarmhold.sim.gap.chart import LEFT, RIGHT, Line, Mark, plot, style, ticks

SMALL, WIDE, LANE = (360, 190), 900, 34  # pixels
STYLE = """.truth{fill:none;stroke:var(--ink);stroke-dasharray:3 3;stroke-width:1.4}
.out{fill:var(--found);opacity:.55}.hit{fill:var(--sim);opacity:.3}.onset{fill:var(--sim)}
.line.failed{stroke:var(--sim);stroke-width:2.2}.line.rest{stroke:var(--quiet);opacity:.55;stroke-width:1.1}
.arrow{stroke:var(--sim);stroke-width:2;marker-end:url(#tip)}.node{fill:var(--card);stroke:var(--quiet);stroke-width:2}
.node.failed{fill:var(--sim);stroke:var(--sim)}.node.first{stroke:var(--ink);stroke-width:4}
.node.affected{fill:var(--band);stroke:var(--sim)}.who{text-anchor:middle;font-size:14px;fill:var(--ink)}
.legend .hit{background:var(--sim)}.legend .out{background:var(--found)}
.legend .onset{width:10px;height:10px;border-radius:50%;background:var(--sim)}
.legend .truth{outline:1.4px dashed var(--ink)}
.side{display:grid;grid-template-columns:minmax(220px,300px) 1fr;gap:12px 32px;align-items:start}
@media(max-width:700px){.side{grid-template-columns:1fr}}
"""
LEGEND = legend(
    ("block onset", "change point"),
    ("block hit", "affected"),
    ("block out", "out of the team by the supervisor"),
    ("block truth", "broken on purpose, as the launcher noted it; the autopsy does not look at it"),
)


def render(found: Autopsy) -> str:
    """The page, without any outside reference."""
    parts = [_head(found), _lanes(found), _evidence(found), _spread(found), _mask(found), _limits()]
    return document(f"{found.case.motions.folder}: autopsy", parts, (style(), STYLE))


def _head(found: Autopsy) -> Html:
    info, first = found.case.motions.info, found.first
    what = f"{info.get('name', '')}, {found.case.n} robots of class {info['robot']}, "
    what += f"{found.case.ended:.0f} s"
    agrees = {True: "agrees", False: "disagrees", None: "took nobody out"}[found.agrees]
    if first is None:
        story, rows = "Nobody failed.", [("nobody", "failed first", "")]
    else:
        story = f"Robot {first.robot} failed first: it {WORDS[first.onsets[0].channel]}."
        affected = " → ".join(map(str, found.chain)) if len(found.chain) > 1 else "nobody else"
        rows = [
            (f"robot {first.robot}", "failed first", f"at {first.t:.2f} s"),
            (f"{found.confidence:.2f}", "confidence", "a rule of thumb, no probability"),
            (affected, "path of the contagion", "by the policy's own attention to others"),
        ]
    verdict = next(iter(found.verdicts), None)
    more = "" if verdict is None else f"robot {verdict.robot}, {verdict.state}, {verdict.t:.2f} s"
    rows.append((agrees, "the supervisor", more))
    return chapter(story, f"{found.case.motions.folder}: {what}.", tiles(rows))


def _lanes(found: Autopsy) -> Html:
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
            f"height='{LANE - 14 - 2 * thin}'><title>{of(title)}</title></rect>"
        )

    out = [f"<svg class='lanes' viewBox='0 0 {WIDE} {high}' role='img' aria-label='time line'>"]
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
    rows = [_row(found, robot) for robot in range(case.n)]
    told = table(("robot", "change points", "supervisor", "course"), rows)
    return chapter(
        "Time line", "One lane for each robot.", Html("".join(out) + "</svg>"), LEGEND, told
    )


def _out(found: Autopsy, robot: int) -> list[tuple[float, float]]:
    """Spans in which the supervisor gave a robot less than half."""
    t = np.array([t for t, _ in found.case.tables])
    low = np.array([table.weights[robot] < 0.5 for _, table in found.case.tables])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(int)))
    last = np.append(t, t[-1])
    return [(float(last[a]), float(last[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _row(found: Autopsy, robot: int) -> tuple[str, ...]:
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
    return str(robot), "; ".join(points), "; ".join(said), course


def _evidence(found: Autopsy) -> Html:
    failed, figures = {one.robot for one in found.failures}, []
    for channel, words in WORDS.items():
        mine = [one for one in found.series if one.channel == channel]
        mine.sort(key=lambda one: one.robot in failed)
        lines = [
            Line(one.t, np.clip(one.size, 0.0, 20.0), "failed" if one.robot in failed else "rest",
                 f"robot {one.robot}") for one in mine
        ]  # fmt: skip
        drawn = plot(lines, "s", "sigma (cut at 20)", _marks(found), SMALL, reach=1.0)
        figures.append(figure(f"{channel}: a robot that {words}", drawn))
    lead = "Orange: robots with a change point. Sigmas are those of all robots together."
    return chapter("Evidence", lead, plots(*figures))


def _marks(found: Autopsy) -> list[Mark]:
    return [] if found.first is None else [Mark(found.first.t, "plain")]


def _spread(found: Autopsy) -> Html:
    course = found.course
    if course is None:
        return chapter("How it spread", "Not looked at: no twins were flown.")
    first, n = found.first, found.case.n
    failed = [one.robot for one in found.failures]
    picture = graph(
        n, course.edges, failed, list(course.affected), None if first is None else first.robot
    )
    off = [Line(course.t, course.off[:, i], _kind(found, i), f"robot {i}") for i in range(n)]
    figures = [figure("distance from the twins", plot(off, "s", "m", _marks(found), SMALL))]
    if course.stage1 is not None:
        one = course.stage1
        named = "nobody is flagged" if one.first is None else f"robot {one.first} at {one.at:.1f} s"
        lines = [
            Line(one.t, np.minimum(one.sigmas[:, i], 20.0), _kind(found, i), f"robot {i}")
            for i in range(n)
        ]
        drawn = plot(lines, "s", "sigma", _marks(found), SMALL, reach=1.0)
        figures.append(figure(f"stage 1 of Patient-0: {named}", drawn))
    lead = (
        "Against flights of the simulator from where the recording begins, without a failure. "
        f"They were {centimetres(course.mismatch_m)} off the recording before anything failed."
    )
    if course.unlike:
        lead += (
            f" Those of robot {', '.join(map(str, course.unlike))} were too far off to judge it."
        )
    return chapter(
        "How it spread", lead, Html(f"<div class='side'>{picture}{plots(*figures)}</div>")
    )


def _kind(found: Autopsy, robot: int) -> str:
    return "failed" if robot in [one.robot for one in found.failures] else "rest"


def _mask(found: Autopsy) -> Html:
    masked = found.masked
    if masked is None:
        return Html()
    told = as_json(found)["masked"]
    kinds = {"as_it_was": "real", "masked": "", "never_masked": "sim"}
    lines = []
    for arm, flights in masked.flown.items():
        values = np.mean([one.error for one in flights], axis=0)
        lines.append(Line(flights[0].error_t, values, kinds[arm], ARMS[arm]))
    drawn = plot(lines, "s", "task error, m", [Mark(masked.at, "plain")])
    rows = [(ARMS[arm], f"{error:.4f} m") for arm, error in told["error_m"].items()]
    low, high = told["gain_range_m"]
    lead = (
        f"The same flight in the twin ({told['twins']} of each arm), robot {masked.robot} at "
        f"weight 0 from {masked.at:g} s on: it would have gained {told['gain_m']:.4f} m of task "
        f"error ({low:.4f} to {high:.4f}). Failed robots do what they did and do not count."
    )
    keys = legend(("real", "as it was"), ("", "masked"), ("sim", "never masked"))
    errors = table(("arm", "mean task error from then on"), rows)
    body = plots(Html(f"<figure>{drawn}{keys}</figure>"), Html(f"<div>{errors}</div>"), pair=True)
    return chapter(f"Had robot {masked.robot} been masked at {masked.at:g} s", lead, body)


def _limits() -> Html:
    lines = (
        "This is hindsight: with the whole recording and a simulator. It is never used to mask a "
        "robot; the supervisor's evidence is on its own.",
        "Change points are where a CUSUM that alarms began to rise. The earliest counts; within "
        "0.3 s the largest in sigmas.",
        "Who was affected by whom is a hypothesis: it was elsewhere than its twins after the "
        "failure, and its policy heeds who is named.",
    )
    return section("How to read this", *(Html(f"<p>{of(line)}</p>") for line in lines))
