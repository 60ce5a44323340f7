"""`swarmhold train` and `evaluate` as people call them: real processes, Ctrl-C, one-line errors."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.evaluate_cli import main as evaluate_main
from swarmhold.policies.train_cli import main as train_main
from swarmhold.sim.jaxrobotarium import policy as abroad

SWARMHOLD = "import sys; from swarmhold.hardware.cli.main import main; sys.exit(main())"
TINY = ("--robots", "3", "--teams", "1", "--warm-start", "0", "--iterations", "50")


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SWARMHOLD, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def iterations(run: Path) -> list[int]:
    path = run / "log.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line)["iteration"] for line in path.read_text().splitlines()]


def interrupt_after(process: subprocess.Popen[str], run: Path, count: int) -> tuple[int, str]:
    """Wait for `count` logged iterations, press Ctrl-C; returns exit code and standard error."""
    give_up = time.monotonic() + 120.0
    while len(iterations(run)) < count and process.poll() is None:
        assert time.monotonic() < give_up, "training never logged an iteration"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_ctrl_c_says_how_to_resume_and_loses_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, errors = interrupt_after(start("train", "--run-dir", str(run), *TINY), run, 1)
    assert code == 130, errors
    assert f"resume with: swarmhold train --resume --run-dir {run}" in errors
    assert "Traceback" not in errors
    kept = iterations(run)
    code, errors = interrupt_after(
        start("train", "--resume", "--workers", "2", "--run-dir", str(run)), run, len(kept) + 1
    )
    assert code == 130, errors
    assert iterations(run) == list(range(1, len(iterations(run)) + 1))
    assert len(iterations(run)) > len(kept)
    assert list(run.glob("*.part")) == []


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("evaluate", "nowhere"), "does not exist"),
        (("evaluate", "heuristic", "--faults", "gremlin"), "unknown fault 'gremlin'"),
        (("evaluate", "heuristic", "--robots", "3", "--faulty", "3"), "faulty"),
        (("evaluate", "heuristic", "--entities", "nearest"), "largest team of training"),
        (("train", "--resume", "--run-dir", "nowhere"), "nothing to resume"),
    ],
)
def test_errors_are_one_line_and_exit_2(words: tuple[str, ...], cause: str, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", SWARMHOLD, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert process.returncode == 2
    assert cause in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_yaml_is_strict_and_options_override_it(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "train.yaml"
    file.write_text(f"robotz: 3\nrun_dir: {run}\n")
    with pytest.raises(ConfigError, match=r"'robotz'.*did you mean"):
        train_main(["--config", str(file)])
    file.write_text(f"robots: 4\nteams: 1\nwarm_start: 0\niterations: 1\nrun_dir: {run}\n")
    assert train_main(["--config", str(file), "--robots", "3"]) == 0
    stored = TrainConfig.model_validate_json((run / "config.json").read_text())
    assert (stored.robots, stored.teams, stored.iterations) == (3, 1, 1)


def test_resume_refuses_options_that_contradict_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--run-dir", str(run), *TINY[:-1], "1"]
    assert train_main(words) == 0
    with pytest.raises(ConfigError, match="--robots 5 differs"):
        train_main(["--resume", "--run-dir", str(run), "--robots", "5"])


def test_evaluate_in_jaxrobotarium(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["heuristic", "--robots", "4", "--simulator", "jaxrobotarium"]
    with pytest.raises(ConfigError, match="gritsbot robots only"):
        evaluate_main(words)
    monkeypatch.setattr(abroad, "ROBOT", "epuck")
    monkeypatch.setattr(abroad, "navigation", lambda teams, robots, seed: (teams, robots, seed))
    monkeypatch.setattr(abroad, "evaluate", lambda env, act, episodes: {"success": float(env[0])})
    assert evaluate_main([*words, "--episodes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["success"] == 3.0
    assert evaluate_main([*words, "--episodes", "70"]) == 0
    assert capsys.readouterr().out == "success 64\n"


def test_evaluate_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["heuristic", "--robots", "4", "--episodes", "2", "--faults", "spoof", "--json"]
    assert evaluate_main(words) == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["weights"] for row in table["rows"]] == ["none", "supervisor", "oracle"]
    assert table["survivors"]["robots"] == 3
    assert all(0.0 <= row["kept"] <= 2.0 for row in table["rows"])


def test_evaluate_tells_whom_robots_attended_to(
    capsys: pytest.CaptureFixture[str], rendezvous_bundle: Path
) -> None:
    words = [str(rendezvous_bundle), "--episodes", "2", "--faults", "crash", "--json"]
    returns = {}
    for robots, mode in ((10, "none"), (10, "nearest"), (12, "none"), (12, "nearest")):
        assert evaluate_main([*words, "--robots", str(robots), "--entities", mode]) == 0
        table = json.loads(capsys.readouterr().out)
        assert table["entities"] == mode
        returns[robots, mode] = table["nominal"]["returns"]
    assert returns[10, "none"] == returns[10, "nearest"], "within what was trained"
    assert returns[12, "none"] != returns[12, "nearest"]


def test_a_scenario_brings_its_own_defaults_and_options_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs/scenarios.md"
    code = page.read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "scenarios").mkdir()
    small = "train = {'iterations': 1, 'warm_start': 0, 'teams': 1, 'robots': 3}"
    (tmp_path / "scenarios/ring.py").write_text(code.replace('train = {"iterations": 15}', small))
    monkeypatch.chdir(tmp_path)
    assert train_main(["--scenario", "ring", "--run-dir", "run", "--robots", "2"]) == 0
    stored = TrainConfig.model_validate_json((tmp_path / "run/config.json").read_text())
    assert (stored.iterations, stored.robots, stored.min_robots) == (1, 2, 2)
    assert (stored.scenario, stored.robot) == ("ring", "epuck")
    (tmp_path / "some.yaml").write_text("scenario: ring\nteams: 2\n")
    assert train_main(["--config", "some.yaml", "--run-dir", "other"]) == 0
    stored = TrainConfig.model_validate_json((tmp_path / "other/config.json").read_text())
    assert (stored.iterations, stored.teams, stored.robots) == (1, 2, 3)
    assert train_main(["--resume", "--run-dir", "other"]) == 0
    with pytest.raises(ConfigError, match="unknown robot class"):
        train_main(["--scenario", "ring", "--robot", "ufo", "--run-dir", "third"])
