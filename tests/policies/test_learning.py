"""Tables of evidence: statistics, one training for many rows, and nothing done twice."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.learning.cell import Alarmed
from swarmhold.policies.learning.cli import main
from swarmhold.policies.learning.page import write
from swarmhold.policies.learning.plan import Column, Row, Table, cells_of
from swarmhold.policies.learning.results import Results
from swarmhold.policies.learning.sections import reached, seconds_until
from swarmhold.policies.learning.spread import spread
from swarmhold.policies.learning.stats import average_of, iqm, share_of, spread_of
from swarmhold.policies.learning.tables import TABLES

TINY = {
    **{"robots": 3, "min_robots": 3, "teams": 2, "warm_start": 0, "iterations": 2, "epochs": 1},
    **{"width": 16, "heads": 2, "replay": {"memory": 2000, "batch": 16, "steps": 2}},
}
SMALL = Table(
    "small", "A table", "It works.", (("multibroken", "crazyflie"),),
    (
        Row("told", "aacft", "oracle"),
        Row("deaf", "aacft", "none"),
        Row("mine", "ours-maddpg", "supervisor"),
    ),
    (Column("nominal"), Column("frozen", "freeze"), Column("first", "freeze", robot=0, at=0.5)),
    metric="score", options=TINY, logs=True, also=("returns",),
    solved={"multibroken": ("score", 2.0)},
)  # fmt: skip


def test_of_successes_the_mean_is_shown() -> None:
    """One in five is no rarer than one in fifty to an interquartile mean."""
    name, average = average_of("success")
    assert name == "mean" and average_of("score")[0] == average_of("returns")[0] == "iqm"
    rare = [np.array([1.0, 0.0, 0.0, 0.0, 0.0])] * 3
    assert spread_of(rare, np.random.default_rng(0), average).value == pytest.approx(0.2)
    assert spread_of(rare, np.random.default_rng(0)).value == 0.0


def test_iqm_by_hand() -> None:
    assert iqm(np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0])) == pytest.approx(3.5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), shift=st.floats(-5, 5))
def test_intervals_hold_the_mean_and_move_with_the_data(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    seeds = [rng.normal(size=32) for _ in range(3)]
    one = spread_of(seeds, np.random.default_rng(0))
    other = spread_of([part + shift for part in seeds], np.random.default_rng(0))
    assert one.low <= one.value <= one.high
    np.testing.assert_allclose(
        [other.value - one.value, other.low - one.low, other.high - one.high], shift, atol=1e-9
    )


def test_seeds_that_differ_make_the_interval_wide() -> None:
    rng = np.random.default_rng(0)
    alike = [rng.normal(size=64) for _ in range(3)]
    apart = [part + 3.0 * number for number, part in enumerate(alike)]
    widths = []
    for seeds in (alike, apart):
        found = spread_of(seeds, np.random.default_rng(1))
        widths.append(found.high - found.low)
    assert widths[1] > 3.0 * widths[0]


def test_the_share_of_a_gain_is_taken_from_paired_episodes() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2, 64))
    found = share_of([(b, b + 0.8, b + 1.0) for b in base], rng)
    assert found is not None and found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.8) and found.high == pytest.approx(0.8)
    assert share_of([(b, b + 0.1, b - 0.5) for b in base], rng) is None


def test_the_first_time_that_success_is_near_its_end() -> None:
    rising = np.clip(np.arange(100) / 50.0, 0.0, 1.0)
    final, at = reached(rising)
    assert final == 1.0 and at is not None and 40 <= at <= 50
    assert reached(np.zeros(20)) == (0.0, None)


def test_what_the_heuristic_drives_is_not_solved() -> None:
    log = [
        {"seconds": 3.0, "return": -5.0, "heuristic_share": 0.5},
        {"seconds": 3.0, "return": -20.0, "heuristic_share": 0.0},
        {"seconds": 3.4, "return": -12.0},
    ]
    assert seconds_until(log, "return", -13.0) == "9"
    assert seconds_until(log, "return", -1.0) == "not in 9"


def test_rows_share_what_they_can() -> None:
    cells = cells_of(SMALL, seeds=2, episodes=4, share=1.0)
    assert len(cells) == 4  # two trainings, two seeds
    assert sorted(len(cell.looks) for cell in cells) == [3, 3, 6, 6]
    assert len({cell.run for cell in cells}) == 4


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_is_made_of_valid_trainings(name: str) -> None:
    cells = cells_of(TABLES[name], seeds=3, episodes=4, share=1.0)
    assert len({cell.run for cell in cells}) == len(cells)
    # The same training has the same name in every table, so it is made once.
    one = {cell.run for cell in cells_of(TABLES["A1"], 1, 4, 1.0)}
    assert one <= {cell.run for cell in cells_of(TABLES["A2"], 1, 4, 1.0)}


def test_a_table_from_nothing_and_again(tmp_path: Path) -> None:
    cells = cells_of(SMALL, seeds=1, episodes=3, share=1.0)
    spread(cells, tmp_path, 2, False, lambda _: None)
    results = Results(SMALL, tmp_path, 1, 3, 1.0)
    page, values, picture = write(results, tmp_path)
    rows = list(csv.DictReader(values.read_text().splitlines()))
    heads = "scenario,arm,fault,iqm,low,high,seeds,commit"
    assert ",".join(rows[0]) == heads and len(rows) == 9
    assert all(float(row["low"]) <= float(row["iqm"]) <= float(row["high"]) for row in rows)
    text = page.read_text()
    for part in (
        "The same, returns:",
        "| told |",
        "| mine |",
        "## Compared with told, pair by pair",
        "Attention to a teammate",
        "swarmhold bench learning",
    ):
        assert part in text
    assert picture.read_text().startswith("<?xml")
    more = results.against_first()
    assert [one.row.label for one in more] == ["deaf"] * 3 + ["mine"] * 3
    told, mine = (
        results.figures(*SMALL.scenarios, row, SMALL.columns[1])[0]["score"]
        for row in (SMALL.rows[0], SMALL.rows[2])
    )
    assert more[4].spread.value == pytest.approx(np.mean(mine - told))
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    lost = next(path for path in made if path.match("figures/*/none-frozen-*.json"))
    before = lost.read_text()
    lost.unlink()
    spread(cells, tmp_path, 1, False, lambda _: None)
    assert lost.read_text() == before
    for path, at in made.items():
        assert path == lost or path.stat().st_mtime_ns == at, path
    networks = list(tmp_path.glob("runs/*/checkpoint.safetensors"))
    for network in networks:  # of published tables, logs and figures are kept, and they suffice
        network.unlink()
    spread(cells, tmp_path, 1, False, lambda _: None)
    assert len(networks) == 2 and not any(network.exists() for network in networks)
    assert write(results, tmp_path)[0].read_text() == text


def test_ray_gives_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    cells = cells_of(SMALL, seeds=1, episodes=2, share=1.0)[:1]
    spread(cells, tmp_path / "here", 1, False, lambda _: None)
    spread(cells, tmp_path / "ray", 1, True, lambda _: None)
    here, there = (sorted((tmp_path / n / "figures").rglob("*.json")) for n in ("here", "ray"))
    assert [path.name for path in here] == [path.name for path in there] and here
    for one, other in zip(here, there, strict=True):
        assert one.read_text() == other.read_text()


def test_false_alarms_take_their_share_in_stretches() -> None:
    told = []
    policy = Alarmed(lambda seen, weights: told.append(weights) or weights, 0.05, 20)
    for _ in range(400):
        policy(None, np.ones((8, 10, 9)))
    masked = np.stack(told) == 0.0
    assert 0.04 < masked.mean() < 0.06
    changes = (masked[1:] != masked[:-1]).any(axis=(1, 2, 3))
    assert np.flatnonzero(changes).tolist() == list(range(19, 399, 20))


def test_wrong_tables_and_numbers_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown table 'A9'; choose one of"):
        main(["--table", "A9"])
    with pytest.raises(ConfigError, match="at least 1 seed"):
        main(["--table", "A1", "--seeds", "0"])
