"""One self-contained HTML page from one to three flights."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np

from swarmhold.hardware.report.flight import Flight
from swarmhold.hardware.report.html import percent, seconds
from swarmhold.hardware.report.measures import (
    attention_at,
    detections,
    error_curve,
    seen_weight,
    summary,
)
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Float

SAMPLE_S = 0.1  # of the trajectories on the page
LABELS = {
    "absent": "absent",
    "crash": "killed",
    "freeze": "stopped",
    "spoof": "lies",
    "nan": "sends NaN",
    "runaway": "runs away",
    "slow": "slow",
    "link_loss": "radio off",
}


@dataclass(frozen=True, slots=True)
class Story:
    """The flights of a report.

    Attributes:
        helped: with faults and supervisor; the page is about this one.
        nominal: same seed without faults, or None.
        alone: same seed and faults with all weights 1, or None.
    """

    helped: Flight
    nominal: Flight | None = None
    alone: Flight | None = None

    @property
    def all(self) -> list[tuple[str, Flight]]:
        """Titles and flights, in the order of the page."""
        named = [
            ("no faults", self.nominal),
            ("supervisor re-weights" if self.alone else "flight", self.helped),
            ("no re-weighting", self.alone),
        ]
        return [(title, flight) for title, flight in named if flight is not None]


def render(story: Story) -> tuple[str, dict[str, Any]]:
    """The page, and the figures on it.

    Args:
        story: one to three flights.

    Returns:
        HTML text without any outside reference, and `measures.summary`.
    """
    figures = summary(story.nominal, story.helped, story.alone)
    data = _data(story, figures)
    text = files("swarmhold.hardware.report").joinpath("page.html").read_text(encoding="utf-8")
    payload = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return text.replace("/*DATA*/", payload), figures


def _data(story: Story, figures: dict[str, Any]) -> dict[str, Any]:
    helped = story.helped
    flights = [_flight(title, flight) for title, flight in story.all]
    return {
        "headline": _headline(story, figures),
        "what": _what(helped),
        "tiles": _tiles(figures),
        "flights": flights,
        "main": [flight for _, flight in story.all].index(helped),
        "error_text": _error_text(helped),
        "attention": _attention(helped),
        "delays": _delays(helped),
        "events": _events(helped),
        "histograms": _histograms(story, figures),
        "files": _files(story),
        "limits": _limits(),
    }


def _flight(title: str, flight: Flight) -> dict[str, Any]:
    times = np.arange(0.0, flight.t[-1], SAMPLE_S)
    index = np.clip(np.searchsorted(flight.t, times), 0, len(flight.t) - 1)
    error = error_curve(flight)[index]
    return {
        "title": title,
        "n": flight.n,
        "t": _round(times, 2),
        "position": _round(flight.position[index], 3),
        "weight": _round(seen_weight(flight, times), 2),
        "error": _round(error, 4),
        "faults": [
            {
                "kind": f.kind,
                "label": LABELS.get(f.kind, f.kind),
                "robot": f.robot,
                "start": round(f.start, 2),
                "end": round(min(f.end, flight.duration), 2),
            }
            for f in flight.faults
        ],
        "landmarks": _round(flight.landmarks, 3),
        "half_width": flight.half_width,
        "radius": policy_spec(flight.info["robot"]).radius_m,
    }


def _round(values: Float, digits: int) -> Any:
    """Nested lists, NaN as None."""
    rounded = np.round(np.asarray(values, float), digits)
    cells = rounded.astype(object)
    cells[~np.isfinite(rounded)] = None
    return cells.tolist()


def _headline(story: Story, figures: dict[str, Any]) -> str:
    helped = story.helped
    words = [LABELS.get(f.kind, f.kind) for f in helped.faults]
    if not words:
        return f"{helped.n} robots flew; nothing was broken."
    names = {"killed": "killed", "stopped": "stopped", "lies": "lying"}
    counts = [f"{words.count(w)} {names.get(w, w)}" for w in dict.fromkeys(words)]
    error = figures["task_error"]
    tail = f"the rest ended at {error['with_supervisor']:.2f} m task error"
    if error["without_supervisor"] is not None:
        tail += f", without re-weighting at {error['without_supervisor']:.2f} m"
    return f"{helped.n} robots flew, {', '.join(counts)}; {tail}."


def _what(flight: Flight) -> str:
    info = flight.info
    testbed = info["robot"] == "gritsbot"
    world = "the Robotarium's kinematics behind its barrier" if testbed else "PyBullet at 240 Hz"
    return (
        f"Scenario {info['scenario']}, {info['robots']} robots of class {info['robot']}, seed "
        f"{info['seed']}. One operating-system process per robot over ROS 2; the world is {world}, "
        f"in real time. Policy bundle {info['name']}, sha256 {info['digest'][:16]}."
    )


def _tiles(figures: dict[str, Any]) -> list[list[str]]:
    delay, error = figures["detection_delay_s"], figures["task_error"]
    tiles = []
    if delay["n"]:
        tiles.append(
            [
                seconds(delay["p50"], "not known"),
                f"median until a failure is known, n = {delay['n']}",
            ]
        )
        tiles.append([seconds(delay["p95"], "not known"), "95th percentile of it"])
    tiles.append(
        [
            str(figures["false_alarms"]),
            f"false alarms in {60 * figures['false_alarm_robot_hours']:.0f} robot-minutes",
        ]
    )
    tiles.append([f"{error['with_supervisor']:.3f} m", "task error with the supervisor"])
    if error["without_supervisor"] is not None:
        tiles.append([f"{error['without_supervisor']:.3f} m", "without re-weighting"])
    if error["nominal"] is not None:
        tiles.append([f"{error['nominal']:.3f} m", "without any fault"])
    loop = figures["loop_period_s"]["p99"]
    tiles.append([f"{1e3 * loop:.1f} ms", "99th percentile of the 50 ms loop"])
    return tiles


def _error_text(flight: Flight) -> str:
    if flight.info["scenario"] == "rendezvous":
        return (
            "Mean distance over all pairs of robots on which no fault acts at the time. Bodies "
            "have a size, so it cannot reach zero."
        )
    if flight.info["scenario"] != "coverage":
        return "What the robots that act have still to do, as the scenario counts it."
    return (
        "Mean distance from a landmark to the nearest robot on which no fault acts at the time; "
        "of the landmarks, as many count as there are such robots, the most valuable first."
    )


def _attention(flight: Flight) -> list[dict[str, Any]]:
    if not flight.faults:
        return [{"title": "at the end", "rows": _round(attention_at(flight, flight.t[-1]), 7)}]
    first = min(fault.start for fault in flight.faults)
    last = max(fault.start for fault in flight.faults)
    after = min(last + 3.0, float(flight.t[-1]))
    return [
        {
            "title": f"at {first:.0f} s, before the first fault",
            "rows": _round(attention_at(flight, first), 7),
        },
        {
            "title": f"at {after:.0f} s, after the last fault",
            "rows": _round(attention_at(flight, after), 7),
        },
    ]


def _delays(flight: Flight) -> list[dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for found in detections(flight, ("crash", "freeze", "spoof", "nan")):
        label = f"{LABELS[found.kind]}: robot {found.robot}"
        row = out.setdefault(label, {"label": label, "delays": []})
        row["delays"].append(round(found.delay_s, 4) if np.isfinite(found.delay_s) else None)
    return list(out.values())


def _events(flight: Flight) -> dict[str, Any]:
    rows = []
    for fault in flight.faults:
        delays = np.array(
            [d.delay_s for d in detections(flight, (fault.kind,)) if d.robot == fault.robot]
        )
        known = delays[np.isfinite(delays)]
        undone = fault.end < flight.duration
        ended = f"{fault.end:.1f} s" if undone else "until the end"
        rows.append(
            [
                f"{fault.start:.1f} s",
                f"robot {fault.robot}",
                LABELS.get(fault.kind, fault.kind),
                ended,
                f"{np.median(known):.2f} s" if len(known) else "not noticed",
                f"{len(known)} of {len(delays)}",
            ]
        )
    columns = ["at", "who", "what", "until", "known after (median)", "known to"]
    return {"columns": columns, "rows": rows}


def _histograms(story: Story, figures: dict[str, Any]) -> list[dict[str, Any]]:
    periods, inference = [], []
    for _, flight in story.all:
        broken = flight.ever_faulty()
        for robot, log in enumerate(flight.robots):
            if not broken[robot]:
                periods.append(1e3 * log.period[log.period > 0])
                inference.append(1e3 * log.inference[log.inference > 0])
    period, spent = np.concatenate(periods), np.concatenate(inference)
    loop, onnx = figures["loop_period_s"], figures["inference_s"]
    return [
        {
            **_bins(period, 0.0, 100.0),
            "title": "Loop period, target 50 ms (logarithmic counts)",
            "note": f"median {1e3 * loop['p50']:.1f} ms, p99 {1e3 * loop['p99']:.1f} ms, missed "
            f"ticks {percent(figures['missed_tick_share'], 2)}",
        },
        {
            **_bins(spent, 0.0, 5.0),
            "title": "Time of one inference (logarithmic counts)",
            "note": f"median {1e3 * onnx['p50']:.2f} ms, p99 {1e3 * onnx['p99']:.2f} ms, one "
            "thread per robot",
        },
    ]


def _bins(values: Float, low: float, high: float) -> dict[str, Any]:
    counts, _ = np.histogram(np.clip(values, low, high - 1e-9), bins=50, range=(low, high))
    return {"counts": counts.tolist(), "low": low, "high": high}


def _files(story: Story) -> list[list[str]]:
    rows = [[f"recording, {title}", str(flight.recording)] for title, flight in story.all]
    folders = " ".join(str(flight.folder) for _, flight in story.all)
    rows.append(["this page again", f"swarmhold report {folders} --out report.html"])
    rows.append(["bundle", story.helped.info["bundle"]])
    rows.append(
        [
            "made with",
            f"swarmhold {version('swarmhold')}, Python {platform.python_version()}, "
            f"onnxruntime {version('onnxruntime')}, {platform.system()} {platform.machine()}",
        ]
    )
    for _, flight in story.all:
        rows += [["shadow", _shadow(flight, told)] for told in flight.shadows]
        rows += [["warning", line] for line in flight.warnings]
    return rows


def _shadow(flight: Flight, told: dict[str, Any]) -> str:
    """What a bundle that looked on in one robot would have done."""
    what = (
        f"{flight.info['shadow']} in robot {told['robot']}: set-points differ by "
        f"{told['mean']:.2f} of the bound in the mean, {told['most']:.2f} at most, over "
        f"{told['decisions']} decisions of {1e3 * told['inference_s']:.2f} ms"
    )
    return f"{what}; switched off, {told['problem']}" if told["problem"] else what


def _limits() -> str:
    return (
        "Simulated bodies, real processes and real middleware on one host: no radio loss, no "
        "clock differences. One seed per flight: the task errors are an example, not a statistic; "
        "swarmhold evaluate gives intervals over many episodes. Detection delays come from a few "
        "events; swarmhold bench detection measures as many as you like."
    )
