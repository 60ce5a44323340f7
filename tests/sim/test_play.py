"""`swarmhold play`: a scenario by its heuristic, as a person calls it."""

import json

import numpy as np
import pytest
from PIL import Image

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.play import play
from swarmhold.sim.scenarios.registry import SHIPPED


def test_figures_faults_and_a_clip(tmp_path, capsys):
    clip = tmp_path / "clip.gif"
    short = ["coverage", "--robots", "3", "--episodes", "2", "--robot", "epuck"]
    assert play([*short, "--faults", "crash", "--json", "--clip", str(clip)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scenario"] == "coverage" and told["robots"] == 3
    assert 0.0 <= told["score"] <= 1.0
    with Image.open(clip) as image:
        assert image.n_frames > 10 and len(image.convert("RGB").getcolors(1 << 20)) > 5
    assert play(short) == 0
    assert "3 epuck, 2 episodes" in capsys.readouterr().out


@pytest.mark.parametrize("scenario", SHIPPED)
def test_robots_that_sense_nothing_finite_stop_no_heuristic(scenario, capsys):
    short = [scenario, "--robots", "4", "--episodes", "1", "--json"]
    assert play([*short, "--faults", "sensor_nan"]) == 0
    assert np.isfinite(json.loads(capsys.readouterr().out)["return"])


def test_wrong_arguments_get_one_line(tmp_path):
    with pytest.raises(ConfigError, match="at least one episode"):
        play(["coverage", "--episodes", "0"])
    with pytest.raises(ConfigError, match="did you mean 'coverage'"):
        play(["covrage"])
    with pytest.raises(ConfigError, match="unknown ending"):
        play(["coverage", "--robots", "2", "--episodes", "1", "--clip", str(tmp_path / "clip.txt")])
