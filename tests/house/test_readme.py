"""Every command shown to readers exists with the options shown; the cheap ones are run."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from swarmhold.hardware.cli.main import main
from swarmhold.hardware.shipped import shipped

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PROGRAM = ".venv/bin/swarmhold"
CHEAP = ("doctor", "verify")
ELSEWHERE = (
    *("git", "cd", "apt", "sudo", "source", ".", "colcon", "ros2", "pip", ".venv/bin/pip"),
    ".venv/bin/python",  # modules, whose own tests run them
)


def commands(page):
    """Lines after a prompt in console blocks, with continued lines joined."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        joined = re.sub(r"\\\n\s*(> ?)?", " ", block)
        yield from (line[2:] for line in joined.splitlines() if line.startswith("$ "))


SHOWN = [(page.name, command) for page in PAGES for command in commands(page)]
OURS = [command for _, command in SHOWN if PROGRAM in command]


@cache
def help_of(*verb):
    """In this process: a new one would import everything anew for each of them."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([*verb, "--help"])
    return said.getvalue()


def test_the_readme_shows_the_way():
    shown = [command for page, command in SHOWN if page == "README.md"]
    assert {"make demo", "make test"} <= set(shown)
    verbs = {shlex.split(command)[1] for command in shown if PROGRAM in command}
    assert {"train", "export", "verify", "fly", "report"} <= verbs


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_every_command_is_one_that_is_checked_here(page, command):
    first = shlex.split(command, comments=True)[0]
    assert first in (PROGRAM, "make", *ELSEWHERE), f"{page}: {command}"


@pytest.mark.parametrize("command", [c for _, c in SHOWN if c.startswith("make ")])
def test_make_targets_exist(command):
    done = subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", OURS)
def test_verbs_and_options_exist(command):
    words = shlex.split(command, comments=True)
    words = words[words.index(PROGRAM) :]
    verb = words[1:3] if words[1] in ("bench", "faults", "dataset") else words[1:2]
    known = set(re.findall(r"(?<![\w-])--[\w.-]+", help_of(*verb))) | {"--config", "--help"}
    shown = {word.split("=")[0] for word in words if word.startswith("--")}
    if len(words) > 1 and not verb[0].startswith("-"):
        assert shown <= known, f"{command}: {shown - known}"


@pytest.mark.parametrize("command", [c for c in OURS if shlex.split(c)[1] in CHEAP])
def test_cheap_commands_run(command):
    words = shlex.split(command, comments=True)
    if words[1] == "verify" and words[2] not in shipped():
        pytest.skip("shows a bundle that the reader makes")
    program = str(Path(sys.executable).with_name("swarmhold"))
    out = subprocess.run(
        [program, *words[1:]], cwd=ROOT, timeout=120, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stdout + out.stderr
