"""YAML files under command lines: strict, typed, overridden by options."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from swarmhold.hardware.cli.config import parse, print_json
from swarmhold.hardware.errors import ConfigError


@dataclass(frozen=True)
class Link:
    delay_s: float = 0.1
    loss: float = 0.0


@dataclass(frozen=True)
class Flight:
    bundle: Annotated[Path, tyro.conf.Positional]
    robots: int = 8
    mode: Literal["hold", "land"] = "hold"
    link: Link = field(default_factory=Link)


class Training(BaseModel):
    model_config = ConfigDict(extra="forbid")
    run_dir: Path
    steps: int = Field(default=10, ge=1)


def told(tmp_path, text, kind=Flight, *more):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return parse(kind, ["--config", str(file), *more], "swarmhold test")


def refused(words, function, *args):
    with pytest.raises(ConfigError) as error:
        function(*args)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_file_gives_values_and_options_override(tmp_path):
    text = "robots: 5\nmode: land\nlink: {loss: 0.25}\n"
    seen = told(tmp_path, text, Flight, "b", "--robots", "6")
    assert seen == Flight(Path("b"), 6, "land", Link(0.1, 0.25))


def test_a_file_may_hold_what_is_required_or_leave_it_to_the_options(tmp_path):
    assert told(tmp_path, "bundle: b\n") == Flight(Path("b"))
    assert told(tmp_path, "steps: 3", Training, "--run-dir", "r") == Training(
        run_dir=Path("r"), steps=3
    )
    refused("missing: --run-dir", told, tmp_path, "steps: 3", Training)
    refused("missing: PATH", told, tmp_path, "robots: 3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("robts: 5", "unknown key 'robts'; did you mean 'robots'?"),
        ("link: {los: 1}", "unknown key 'link.los'; did you mean 'link.loss'?"),
        ("zzz: 5", "known: bundle, robots, mode, link"),
        ("robots: many", "robots = 'many'"),
        ("robots: 5.5", "robots = 5.5"),
        ("mode: crash", "mode = 'crash'"),
        ("link: 3", "link = 3"),
        ("link: {loss: [1]}", "link.loss = [1]"),
        ("- 1\n- 2", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("a: [", "is not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_wrong_files_name_the_key(tmp_path, text, words):
    refused(words, told, tmp_path, text, Flight, "b")


def test_files_that_cannot_be_read(tmp_path):
    argv = ["--config", str(tmp_path / "none.yaml")]
    refused("cannot be read", parse, Flight, argv, "swarmhold test")
    refused("cannot be read", parse, Flight, ["--config", str(tmp_path)], "swarmhold test")
    refused("needs a file name", parse, Flight, ["--config"], "swarmhold test")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    refused("UTF-8", parse, Flight, [f"--config={tmp_path / 'b.yaml'}"], "swarmhold test")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["b", "--robots", "many"], "--robots"),
        (["b", "--mode", "crash"], "invalid choice 'crash'"),
        (["b", "--robts", "3"], "--robts"),
        (["b", "c"], "c"),
        ([], "missing: PATH"),
    ],
)
def test_wrong_options_are_one_line(argv, words):
    refused(words, parse, Flight, argv, "swarmhold test")
    refused("see swarmhold test --help", parse, Flight, argv, "swarmhold test")


def test_limits_of_models_hold_for_files_and_options(tmp_path):
    refused("steps", told, tmp_path, "steps: 0\nrun_dir: r", Training)
    argv = ["--run-dir", "r", "--steps", "0"]
    refused("steps", parse, Training, argv, "swarmhold test")


@given(st.text(max_size=30))
def test_no_file_ends_in_anything_but_a_value_or_one_line(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("any") / "c.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        parse(Flight, ["b", "--config", str(file)], "swarmhold test")
    except ConfigError as error:
        assert "\n" not in str(error)


def test_json_is_json(capsys):
    print_json({"a": np.float32(0.5), "b": [np.nan, 1], "c": np.arange(2), "d": Path("x")})
    assert json.loads(capsys.readouterr().out) == {"a": 0.5, "b": [None, 1], "c": [0, 1], "d": "x"}
