"""The gap is found where it is known: in robots that hide a latency, a wheel scale or a drag."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.hardware.report.flight import Fault
from swarmhold.hardware.report.motion import Motions, read_motions
from swarmhold.policies.config import TrainConfig
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.gap.cli import main
from swarmhold.sim.gap.fit import Fit, fit
from swarmhold.sim.gap.flight import simulated
from swarmhold.sim.gap.ranges import losses_of, suggested, team_of
from swarmhold.sim.gap.twin import OpenLoop, Parameter
from swarmhold.sim.gap.windows import windows_of

sys.path.insert(0, str(Path(__file__).parent))
from gap_flights import measured, write_flight

LATE_S, SHARE = 0.010, 0.10  # the bar
BUNDLES = Path(__file__).resolve().parents[2] / "export/swarmhold/export/bundles"
CASES = [  # bundle, s, seed, hidden
    ("coverage-epuck", 20.0, 3, ("latency=0.1", "wheel_scale=0.85")),
    ("coverage-epuck", 20.0, 4, ("latency=0.05", "wheel_scale=1.15")),
    ("rendezvous-epuck", 12.0, 5, ("latency=0.15", "wheel_scale=0.9")),
    ("pursuit-crazyflie", 20.0, 3, ("latency=0.08", "drag=2")),
    ("rendezvous-crazyflie", 15.0, 4, ("latency=0.04", "drag=1.5")),
    ("coverage-crazyflie", 20.0, 5, ("latency=0.2", "drag=3")),
    ("navigation-gritsbot", 20.0, 3, ("latency=0.099", "wheel_scale=0.85")),
]


@cache
def flight(bundle: str, seconds: float, seed: int, hidden: tuple[str, ...]) -> Motions:
    """Three robots in PyBullet, the safety filter and the controllers in between."""
    return simulated(open_bundle(BUNDLES / bundle), 3, seconds, seed, parse_hidden(hidden, 3))


def fits_of(flown: Motions) -> list[Fit]:
    robot = str(flown.info["robot"])
    return [
        fit(OpenLoop(robot, motion, windows_of(flown, i))) for i, motion in enumerate(flown.robots)
    ]


@pytest.mark.parametrize(("bundle", "seconds", "seed", "hidden"), CASES)
def test_hidden_parameters_are_recovered(
    bundle: str, seconds: float, seed: int, hidden: tuple[str, ...]
) -> None:
    """With noise of 2 mm and 0.01 rad, stamps that jitter, and one frame of twenty lost."""
    truth = parse_hidden(hidden, 1)
    fits = fits_of(measured(flight(bundle, seconds, seed, hidden), seed))
    team = team_of(fits)
    # Who moves in ticks of 33 ms answers to a latency no more exactly than that.
    coarse = {Parameter.LATENCY} if "gritsbot" in bundle else set()
    assert {name for name, found in team.items() if not found.known} <= coarse
    expected = {
        Parameter.LATENCY: truth.latency[0],
        Parameter.LINEAR: truth.wheel_scale[0],
        Parameter.ANGULAR: truth.wheel_scale[0],
        Parameter.DRAG: truth.drag[0],
    }
    for name, found in team.items():
        bar = LATE_S if name is Parameter.LATENCY else SHARE * expected[name]
        bar = 2.0 * LATE_S if name in coarse else bar
        assert abs(found.estimate - expected[name]) < bar, name
        for one in fits:
            own = one.found[name]
            off = abs(own.estimate - expected[name])
            assert not own.known or off < 4.0 * own.deviation + 0.5 * bar, "intervals are honest"
    assert sum(one.fitted_m[-1] for one in fits) < 0.7 * sum(one.plain_m[-1] for one in fits)


def test_each_robot_is_told_apart() -> None:
    hidden = ("latency:1=0.12", "wheel_scale:2=0.8")
    fits = fits_of(flight("coverage-epuck", 20.0, 3, hidden))
    late = [one.found[Parameter.LATENCY].estimate for one in fits]
    speed = [one.found[Parameter.LINEAR].estimate for one in fits]
    assert late == pytest.approx([0.0, 0.12, 0.0], abs=LATE_S / 2)
    assert speed == pytest.approx([1.0, 1.0, 0.8], rel=0.03)


def test_nothing_is_found_where_nothing_is_hidden() -> None:
    plain = flight("coverage-epuck", 20.0, 3, ())
    for one in fits_of(plain):
        assert one.plain_m.max() < 1e-4, "the twin goes where PyBullet goes"
        assert abs(one.found[Parameter.LATENCY].estimate) < 1e-3
        assert one.found[Parameter.LINEAR].estimate == pytest.approx(1.0, abs=1e-3)


def test_what_a_flight_does_not_tell_is_said_and_no_number_is_made_up() -> None:
    flown = flight("coverage-epuck", 20.0, 3, ())
    one = flown.robots[0]
    parts = ("told", "position", "yaw", "velocity", "yaw_rate")
    still = replace(one, **{name: np.zeros_like(getattr(one, name)) for name in parts})
    found = fits_of(replace(flown, robots=(still,)))[0].found
    assert not any(value.known for value in found.values())
    assert "hardly changed" in found[Parameter.LATENCY].why
    assert "hardly told to go" in found[Parameter.LINEAR].why
    assert suggested(fits_of(replace(flown, robots=(still,))), (still,), 0.1) == {}


def test_windows_in_which_something_else_moves_a_robot_are_left_out() -> None:
    flown = flight("coverage-epuck", 20.0, 3, ())
    every = len(windows_of(flown, 0))
    broken = replace(flown, faults=(Fault("slow", 0, 5.0, 9.0),))
    assert every - len(windows_of(broken, 0)) == pytest.approx((4.0 + 1.0) / 0.2, abs=2)
    assert len(windows_of(broken, 1)) == len(windows_of(flown, 1))
    first = flown.robots[0]
    beside = replace(flown.robots[1], position=first.position + np.array([0.05, 0.0, 0.0]))
    touching = replace(flown, robots=(first, beside))
    assert len(windows_of(touching, 0)) == 0
    hole = (first.t < 6.0) | (first.t > 8.0)
    parts = {name: getattr(first, name)[hole]
             for name in ("t", "position", "yaw", "velocity", "yaw_rate")}  # fmt: skip
    deaf = windows_of(replace(flown, robots=(replace(first, **parts),)), 0)
    assert deaf.left_out["frames are missing"] == pytest.approx(3.0, abs=0.5)


def test_ranges_are_what_training_takes_and_cover_what_was_hidden() -> None:
    hidden = ("latency=0.05", "wheel_scale=1.15")
    flown = measured(flight("coverage-epuck", 20.0, 4, hidden), 4)
    lost = np.zeros(200)
    lost[20::40] = 4.0  # bursts of four: 20 of 220
    said = {"said_t": 0.1 * np.arange(200), "said_late": np.full(200, 0.15), "lost": lost}
    robots = tuple(replace(motion, **said) for motion in flown.robots)
    ranges = suggested(fits_of(flown), robots, 0.1)
    config = TrainConfig.model_validate({"disturbances": ranges})
    told = config.disturbances
    assert told.latency_s[0] < 0.05 < told.latency_s[1] < 0.1
    assert 1.0 < told.wheel_scale[0] < 1.15 < told.wheel_scale[1] < 1.3
    assert told.drag_scale == Disturbances().drag_scale, "nothing is said of what is not there"
    share = told.link_bad_s / (told.link_bad_s + told.link_good_s)
    assert share == pytest.approx(20 / 220, rel=0.05) and told.link_bad_s == pytest.approx(0.4)
    assert told.link_delay_s == pytest.approx(0.05), "beyond the one decision of every message"
    assert losses_of(robots[0]) == {"lost": 20 / 220, "burst": 4.0, "late_s": pytest.approx(0.15)}


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "line", "rect", "circle", "polyline", "br"):
            self.open.append(tag)
        self.outside += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "line", "rect", "circle", "polyline"):
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hidden = ("latency=0.1", "wheel_scale=0.85")
    flown = measured(flight("coverage-epuck", 20.0, 3, hidden), 3)
    folder = tmp_path_factory.mktemp("gap") / "flight"
    return write_flight(flown, folder, BUNDLES / "coverage-epuck")


def test_a_recording_becomes_figures_ranges_and_a_page(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, ranges = tmp_path / "gap.html", tmp_path / "ranges.yaml"
    given = [str(recording), "--out", str(page), "--ranges", str(ranges), "--json"]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["team"]["latency"]["value"] == pytest.approx(0.1, abs=LATE_S)
    assert told["team"]["linear"]["value"] == pytest.approx(0.85, rel=SHARE)
    assert [one["clock"] for one in told["robots"]] == ["stamps"] * 3
    assert all(one["frames"]["missing"] == pytest.approx(0.05, abs=0.03) for one in told["robots"])
    assert all(one["tracking_mps"] > one["tracking_simulated_mps"] for one in told["robots"])
    loops = told["closed_loop"]
    plain, found = (np.mean(loops[name]["apart_m"]) for name in ("simulated", "simulated_as_found"))
    assert found < 0.5 * plain, "with what was found the simulator flies like the robots"
    config = yaml.safe_load(ranges.read_text())
    assert TrainConfig.model_validate(config).disturbances.wheel_scale[1] < 1.0
    reader = Page()
    reader.feed(page.read_text())
    assert not reader.open and not reader.outside
    assert page.read_text().count("<svg") >= 3 + 2 * 3 + 2
    assert main([*given[:3], "--no-closed-loop"]) == 0
    assert "ranges to train with: {'latency_s'" in capsys.readouterr().out


def test_clocks_that_disagree_are_noticed(tmp_path: Path) -> None:
    flown, bundle = flight("coverage-epuck", 20.0, 3, ()), BUNDLES / "coverage-epuck"
    same = read_motions(write_flight(flown, tmp_path / "same", bundle))
    assert {motion.clock for motion in same.robots} == {"stamps"}
    # Stamped by a clock that is ahead, received in time.
    ahead = read_motions(write_flight(flown, tmp_path / "ahead", bundle, ahead_s=0.4))
    assert {motion.clock for motion in ahead.robots} == {"receipt"}
    np.testing.assert_allclose(ahead.robots[0].told_t, same.robots[0].told_t + 0.001, atol=1e-5)


def test_bad_input_is_one_line(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(folder: Path, told: str, *more: str) -> None:
        with pytest.raises(ConfigError, match=told) as caught:
            main([str(folder), "--out", str(tmp_path / "no.html"), *more])
        assert "\n" not in str(caught.value)

    refused(tmp_path, "no flight folder")
    flown = flight("coverage-epuck", 20.0, 3, ())
    bundle = BUNDLES / "coverage-epuck"
    cut = write_flight(flown, tmp_path / "cut", bundle)
    file = next((cut / "mcap").glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    refused(cut, "damaged or cut off")
    none = np.zeros(0)
    untold = tuple(replace(motion, told_t=none, told=np.zeros((0, 2))) for motion in flown.robots)
    refused(write_flight(replace(flown, robots=untold), tmp_path / "u", bundle), "no set-points")
    unseen = tuple(replace(motion, t=none) for motion in flown.robots)
    empty = [replace(m, **{k: getattr(m, k)[:0] for k in
             ("position", "yaw", "velocity", "yaw_rate")}) for m in unseen]  # fmt: skip
    refused(
        write_flight(replace(flown, robots=tuple(empty)), tmp_path / "v", bundle),
        "no sensor frames",
    )
    refused(recording, "was flown by epucks, the bundle is for crazyflies",
            "--bundle", str(BUNDLES / "coverage-crazyflie"))  # fmt: skip
    short = flight("coverage-epuck", 1.5, 3, ())
    refused(write_flight(short, tmp_path / "short", bundle), "moved on its own for long enough")
    other = write_flight(flown, tmp_path / "other", bundle, digest="0" * 64)
    refused(other, "no longer the bundle that flew")
