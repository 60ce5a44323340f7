"""The page of a gap: one self-contained HTML file without scripts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import yaml

from swarmhold.hardware.report.html import (
    Html,
    between,
    centimetres,
    chapter,
    document,
    figure,
    legend,
    of,
    percent,
    plots,
    quiet,
    section,
    table,
    tiles,
)
from swarmhold.hardware.report.motion import RECEIPT
from swarmhold.sim.gap.analysis import Gap, loops_of, robot_of
from swarmhold.sim.gap.chart import LEFT, Line, Mark, plot, spans, style
from swarmhold.sim.gap.ranges import MEANS
from swarmhold.sim.gap.twin import PLAIN, Parameter
from swarmhold.sim.gap.windows import GAP_S, HORIZONS_S

NAMES = {
    Parameter.LATENCY: ("latency", "s"),
    Parameter.LINEAR: ("forward speed, factor", ""),
    Parameter.ANGULAR: ("turn rate, factor", ""),
    Parameter.DRAG: ("drag, factor", ""),
}
LOOPS = {
    "recorded": "recorded",
    "simulated": "simulated, models as they are",
    "simulated_as_found": "simulated with what was found",
}
SMALL = 360, 190  # pixels, of plots three in a row
LEGEND = legend(
    ("real", "recorded"),
    ("sim", "simulated, model as it is"),
    ("", "simulated with what was found"),
)


def render(gap: Gap) -> str:
    """The page, without any outside reference."""
    parts = [
        _head(gap),
        _estimates(gap),
        _open_loop(gap),
        _closed_loop(gap),
        _links(gap),
        _ranges(gap),
    ]
    return document(f"{gap.recorded.folder}: sim-to-real gap", parts, (style(),))


def _head(gap: Gap) -> Html:
    info = gap.recorded.info
    what = (
        f"{info.get('name', '')}, {len(gap.fits)} robots of class {info['robot']}, "
        f"{gap.recorded.seconds:.0f} s"
    )
    rows = [
        (_value(found.estimate, NAMES[name][1]) if found.known else "not known", NAMES[name][0],
         between(found.interval, digits=3) if found.known else found.why)
        for name, found in gap.team.items()
    ]  # fmt: skip
    at = HORIZONS_S.index(1.0)
    before, after = (
        _rms([getattr(one, name)[at] for one in gap.fits]) for name in ("plain_m", "fitted_m")
    )
    found = f"with what was found {centimetres(after)}"
    rows.append((centimetres(before), "twin off after 1 s", found))
    lead = f"{gap.recorded.folder}: {what}. Figures of the team; 95 % intervals."
    return chapter("Sim-to-real gap", lead, tiles(rows))


def _estimates(gap: Gap) -> Html:
    figures = []
    for name in gap.team:
        rows: list[tuple[str, float, float, float] | tuple[str, str]] = []
        curves: list[Line] = []
        for robot, one in enumerate(gap.fits):
            found = one.found.get(name)
            if found is None or not found.known:
                rows.append((f"robot {robot}", one.why if found is None else found.why))
                continue
            rows.append((f"robot {robot}", found.estimate, *found.interval))
            curve = one.curves[name]
            curves.append(Line(curve.at, 1e3 * curve.error_m, "thin", f"robot {robot}"))
        common = gap.team[name]
        if common.known:
            rows.append(("team", common.estimate, *common.interval))
        label, unit = NAMES[name]
        across = f"{label}, {unit}" if unit else label
        drawn = spans(rows, across, PLAIN[name], _suggested(gap, name))
        figures.append(figure(Html(f"<b>{of(label)}</b> of each robot"), drawn))
        marks = [Mark(PLAIN[name], "plain")]
        below = plot(curves, across, "twin off by, mm", marks)
        figures.append(figure(f"how far the twin is off, along {label}", below))
    lead = (
        "The parameters with which the simulator, given the recorded set-points, comes nearest to "
        "where robots really went."
    )
    keys = legend(
        ("", "each robot: estimate, 95 % interval, objective"),
        ("sim", "model as it is"),
        ("band", "suggested for training"),
    )
    return section("What was found", quiet(lead), keys, plots(*figures, pair=True))


def _suggested(gap: Gap, name: Parameter) -> list[float] | None:
    field = next(field for field, parts in MEANS.items() if name in parts)
    return gap.ranges.get(field)


def _open_loop(gap: Gap) -> Html:
    at = np.array((0.0, *HORIZONS_S))
    figures, rows = [], []
    for robot, one in enumerate(gap.fits):
        plain, found = (100.0 * np.array([0.0, *errors]) for errors in (one.plain_m, one.fitted_m))
        lines = [Line(at, plain, "sim"), Line(at, found, "found")]
        drawn = plot(lines, "horizon, s", "off by, cm", size=SMALL)
        figures.append(figure(f"robot {robot}", drawn or quiet(one.why)))
        held = gap.tracking[robot]
        speeds = ("", "") if held is None else (_cms(held.recorded), _cms(held.simulated))
        left = {r: s for r, s in gap.windows[robot].left_out.items() if s > 0.0}
        left_out = ", ".join(f"{seconds:.1f} s {reason}" for reason, seconds in left.items())
        rows.append((f"robot {robot}", str(one.windows), *speeds, left_out or "nothing"))
    head = ("", "windows of 1 s", "behind its set-points", "its model", "left out")
    lead = (
        "From every 0.2 s of the recording on, the twin follows the recorded set-points for a "
        "second; shown is how far it then is from where the robot was, rms. A robot that is behind "
        "its set-points is not where they lead within 0.5 s."
    )
    keys = legend(("sim", "model as it is"), ("", "with what was found"))
    return section("Open loop", quiet(lead), keys, plots(*figures), table(head, rows))


def _closed_loop(gap: Gap) -> Html:
    told = loops_of(gap)
    if told is None or gap.plain is None or gap.fitted is None:
        return section("Closed loop", quiet(f"None: {gap.no_loop}."))
    lines = []
    flights = (gap.plain.flown, "sim"), (gap.fitted.flown, "found"), (gap.recorded, "real")
    for flown, kind in flights:
        shown = (flown.error_t >= 0.0) & (flown.error_t <= gap.plain.flown.seconds)
        step = max(int(shown.sum()) // 300, 1)
        lines.append(Line(flown.error_t[shown][::step], flown.error[shown][::step], kind))
    rows = []
    for name, title in LOOPS.items():
        one = told[name]
        apart = (
            ""
            if one["apart_m"] is None
            else ", ".join(centimetres(value) for value in one["apart_m"])
        )
        reached = "never" if one["reached_s"] is None else f"{one['reached_s']:.1f} s"
        rows.append(
            (title, centimetres(one["last_error_m"]), reached, centimetres(one["spread_m"]), apart)
        )
    head = ("", "error at the end", "90 % of the way there", "spread at the end",
            "apart from each recorded robot, mean")  # fmt: skip
    errors = figure(Html("<b>error of the task</b>"), plot(lines, "time, s", "error, m"))
    lead = (
        "The bundle flies in the simulator, from where the recording began, with the same task."
        + (" Faults of the recording are not repeated." if gap.recorded.faults else "")
    )
    shown = plots(errors, _map(gap), pair=True)
    return section("Closed loop", quiet(lead), LEGEND, shown, table(head, rows))


def _map(gap: Gap) -> Html:
    """Ways from above."""
    assert gap.plain is not None and gap.fitted is not None
    lines = []
    flights = (gap.plain.flown, "sim thin"), (gap.fitted.flown, "thin"), (gap.recorded, "real thin")
    for flown, kind in flights:
        for robot, motion in enumerate(flown.robots):
            shown = (motion.t >= 0.0) & (motion.t <= gap.plain.flown.seconds)
            place = motion.position[shown][:: max(int(shown.sum()) // 200, 1)]
            lines.append(Line(place[:, 0], place[:, 1], kind, f"robot {robot}"))
    return figure(Html("<b>ways</b>, from above"), plot(lines, "x, m", "y, m", zero=False))


def _links(gap: Gap) -> Html:
    rows, lanes = [], []
    for robot in range(len(gap.fits)):
        one = robot_of(gap, robot)
        heard, missed = one["hears"]["heard"], one["hears"]["missed"]
        states = one["states"]
        late = "" if states["late_s"] is None else f"{1e3 * states['late_s']:.1f} ms"
        rows.append((
            f"robot {robot}", _hz(one["frames"]), _hz(one["commands"]),
            "" if np.isnan(one["decides_s"]) else f"{1e3 * one['decides_s']:.1f} ms",
            percent(states["lost"], 2), late,
            percent(missed / (heard + missed), 2) if heard + missed else "not said", one["clock"],
        ))  # fmt: skip
        lanes.append(_lane(gap, robot))
    head = ("", "frames", "set-points", "decides in", "states lost to the recorder",
            "they are late", "states of others that it lost", "clock")  # fmt: skip
    clocks = (
        " Where clocks of hosts disagree, latency is by the recorder's receive times."
        if any(motion.clock == RECEIPT for motion in gap.recorded.robots) else ""
    )  # fmt: skip
    high = 22 * len(lanes) + 8
    drawn = "".join(text.format(y=22 * k + 4) for k, text in enumerate(lanes))
    lead = (
        "The simulator loses none and holds all rates. "
        f"Holes of more than {GAP_S:g} s are marked.{clocks}"
    )
    lines = Html(
        f"<svg class='lanes' viewBox='0 0 1060 {high}' role='img' aria-label='holes'>{drawn}</svg>"
    )
    return section("Messages", quiet(lead), lines, table(head, rows))


def _lane(gap: Gap, robot: int) -> str:
    motion, wide = gap.recorded.robots[robot], 1060 - LEFT - 10
    scale = wide / max(gap.recorded.seconds, 1.0)
    out = [
        f"<text class='name' x='2' y='{{y}}' dy='13'>robot {robot}</text>"
        f"<rect class='lane' x='{LEFT + 10}' y='{{y}}' width='{wide}' height='16'/>"
    ]
    for name, times in (("frames", motion.t), ("set-points", motion.told_t)):
        for k in np.flatnonzero((np.diff(times) > GAP_S) & (times[:-1] >= 0.0)):
            x, length = LEFT + 10 + scale * float(times[k]), float(times[k + 1] - times[k])
            out.append(
                f"<rect class='hole' x='{x:.1f}' y='{{y}}' width='{max(scale * length, 1.5):.1f}' "
                f"height='16'><title>no {name} for {length:.2f} s</title></rect>"
            )
    return "".join(out)


def _ranges(gap: Gap) -> Html:
    told = yaml.safe_dump({"disturbances": gap.ranges}, sort_keys=False)
    text = told if gap.ranges else "# nothing is known"
    lead = Html(
        "Into the file that <code>swarmhold train --config</code> reads. Intervals of all robots, "
        "a quarter wider on either side."
    )
    return section("To train with", quiet(lead), Html(f"<pre>{of(text)}</pre>"))


def _rms(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None


def _value(value: float, unit: str) -> str:
    return f"{1e3 * value:.0f} ms" if unit == "s" else f"{value:.2f}"


def _cms(value: float) -> str:
    return f"{100 * value:.1f} cm/s"


def _hz(stream: dict[str, float | None]) -> str:
    hz, longest = stream["hz"], stream["longest_gap_s"]
    if hz is None or longest is None:
        return "none"
    return f"{hz:.1f} Hz, longest hole {longest:.2f} s"
