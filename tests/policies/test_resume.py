"""A run that was stopped and resumed is the run that was not stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.files import replace_file
from swarmhold.policies import imitate
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.train import Report, train

TINY = TrainConfig(
    scenario="brief",
    robots=3,
    teams=2,
    warm_start=2,
    iterations=3,
    epochs=1,
    minibatch=512,
    width=16,
    heads=2,
)


@pytest.fixture(autouse=True)
def small_imitation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imitate, "STEPS", 4)
    monkeypatch.setattr("swarmhold.policies.train.ENVS", 5)
    monkeypatch.setattr(imitate, "ENVS", 5)


def stop_after(iterations: int) -> Report:
    def report(done: int, total: int, figures: dict[str, float]) -> None:
        if done == iterations:
            raise KeyboardInterrupt

    return report


def run_with_stops(run: Path, stops: list[int], config: TrainConfig = TINY) -> Path:
    for index, stop in enumerate(stops):
        with pytest.raises(KeyboardInterrupt):
            train(config, run, index > 0, stop_after(stop), workers=1 + index % 2)
    return train(config, run, bool(stops), lambda *_: None)


def lines(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize("trunk", ["separate", "shared"])
@pytest.mark.parametrize("recurrent", [0, 8])
def test_resumed_run_is_identical(tmp_path: Path, trunk: str, recurrent: int) -> None:
    config = TINY.model_copy(update={"trunk": trunk, "recurrent": recurrent})
    whole = run_with_stops(tmp_path / "whole", [], config)
    parts = run_with_stops(tmp_path / "parts", [1, 3], config)  # once in each phase
    one, two = (load_file(run / "checkpoint.safetensors") for run in (whole, parts))
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].tobytes() == two[name].tobytes(), name
    assert lines(whole) == lines(parts)
    assert [row["iteration"] for row in lines(parts)] == [1, 2, 3, 4, 5]
    assert list(tmp_path.glob("*/imitation-*.npz")) == []


def test_run_folder_holds_no_pickle_and_loads(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(TINY, run, False, stop_after(1))
    names = {path.suffix for path in run.rglob("*") if path.is_file()}
    assert not names & {".pt", ".pth", ".pkl", ".pickle"}
    config, actor, progress = load_run(run)
    assert config == TINY
    assert progress["iterations"] == 1
    assert actor.width == TINY.width


def test_a_run_folder_is_never_overwritten(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(TINY, run, False, stop_after(1))
    with pytest.raises(ConfigError, match="--resume"):
        train(TINY, run, False, lambda *_: None)
    with pytest.raises(ConfigError, match="nothing to resume"):
        train(TINY, tmp_path / "other", True, lambda *_: None)


def test_damaged_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(TINY, run, False, stop_after(1))
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="damaged") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("moment", ["swarmhold.policies.train.save", "numpy.savez", "os.replace"])
def test_stopped_while_storing_is_identical_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = run_with_stops(tmp_path / "whole", [])
    run = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        train(TINY, run, False, stop_after(1))

    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(moment, stop)
        train(TINY, run, True, lambda *_: None)
    train(TINY, run, True, lambda *_: None)
    one, two = (load_file(folder / "checkpoint.safetensors") for folder in (whole, run))
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    assert lines(whole) == lines(run)


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_write_that_is_stopped_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, stopped: type[BaseException] | BaseException
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(part: Path) -> None:
        part.write_text("half")
        raise stopped

    with pytest.raises((KeyboardInterrupt, OSError)):
        replace_file(path, write)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "old")]
