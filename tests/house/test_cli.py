"""One clear line for everything that a person can get wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SWARMHOLD = str(Path(sys.executable).with_name("swarmhold"))
VERBS = (
    *("doctor", "demo", "play", "train", "evaluate", "validate"),
    *("export", "verify", "bench", "fly", "report"),
)
PLUGIN = """
import sys, time

def main(argv):
    if argv == ["sleep"]:
        print("asleep", flush=True)
        time.sleep(60)
    if argv == ["threads"]:
        import torch
        print(torch.get_num_threads())
        return 0
    if argv == ["bug"]:
        import no_such_module_at_all
    if argv == ["messages"]:
        raise ModuleNotFoundError("gone", name="swarmhold_msgs.msg")
    if argv == ["disk"]:
        raise OSError(28, "No space left on device", "x.mcap")
    for _ in range(100000):
        print("line")
    return 0
"""


def run(*args, env=None, cwd=None):
    return subprocess.run(
        [SWARMHOLD, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


def refused(words, *args, **options):
    out = run(*args, **options)
    assert out.returncode == 2, out.stderr
    lines = [line for line in out.stderr.splitlines() if line.startswith("swarmhold ")]
    assert len(lines) == 1 and "Traceback" not in out.stderr, out.stderr
    assert words in lines[0], lines[0]
    return out


@pytest.fixture
def plugin(tmp_path):
    """Environment in which another distribution brings a verb of its own."""
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[swarmhold.verbs]\nplug = plug:main\n")
    (tmp_path / "plug.py").write_text(PLUGIN)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("args", [(), ("--help",), ("help",)])
def test_help_lists_the_verbs(args):
    out = run(*args)
    assert out.returncode == 0
    for verb in (*VERBS, "robotarium"):
        assert f"\n  {verb} " in out.stdout


def test_networks_are_computed_by_one_thread_unless_more_are_asked_for(plugin):
    """On busy cores two take many times as long as one."""
    for asked, got in (({}, "1"), ({"OMP_NUM_THREADS": "2"}, "2")):
        env = {key: value for key, value in os.environ.items() if "NUM_THREADS" not in key}
        out = subprocess.run(
            [SWARMHOLD, "plug", "threads"],
            capture_output=True, text=True, env={**env, **plugin, **asked},
        )  # fmt: skip
        assert (out.returncode, out.stdout) == (0, f"{got}\n"), out.stderr


def test_version_is_that_of_the_package():
    from importlib.metadata import version

    assert run("--version").stdout.strip() == f"swarmhold {version('swarmhold')}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    out = run(verb, "--help")
    assert out.returncode == 0 and f"swarmhold {verb}" in out.stdout


def test_misspelt_verb():
    out = refused("unknown verb 'verfiy', did you mean 'verify'?", "verfiy")
    assert len(out.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "args"),
    [
        ("--jsn", ("verify", "x", "--jsn")),
        ("missing: PATH", ("verify",)),
        ("--robots", ("train", "--robots", "many", "--run-dir", "x")),
    ],
)
def test_misspelt_options_are_one_line(words, args):
    assert len(refused(words, *args).stderr.splitlines()) == 1


def test_verbs_of_other_distributions(plugin):
    assert "plug        of plug" in run("--help", env=plugin).stdout
    assert run("plug", env=plugin).stdout.count("line\n") == 100000


def test_errors_of_verbs(plugin):
    refused("No space left on device", "plug", "disk", env=plugin)
    refused("ROS messages are not built; run make setup", "plug", "messages", env=plugin)
    bug = run("plug", "bug", env=plugin)
    assert bug.returncode == 1 and "no_such_module_at_all" in bug.stderr


def test_ctrl_c_is_one_line(plugin):
    command = [SWARMHOLD, "plug", "sleep"]
    pipe = subprocess.PIPE
    env = {**os.environ, **plugin}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as child:
        assert child.stdout.readline() == "asleep\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 130 and said == "swarmhold plug: stopped\n"


def test_a_reader_that_leaves(plugin):
    shell = f"set -o pipefail; {SWARMHOLD} plug | head -1"
    out = subprocess.run(
        ["bash", "-c", shell],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **plugin},
    )
    assert (out.returncode, out.stdout, out.stderr) == (141, "line\n", "")


def test_verify_says_good(rendezvous_bundle):
    out = run("verify", rendezvous_bundle)
    assert out.returncode == 0 and "good" in out.stdout
    assert json.loads(run("verify", rendezvous_bundle, "--json").stdout)["robot"] == "epuck"


def test_verify_refuses_an_edited_bundle(rendezvous_bundle, tmp_path):
    copy = shutil.copytree(rendezvous_bundle, tmp_path / "b")
    (copy / "model_card.md").write_text("better than ever")
    refused("model_card.md", "verify", copy)


def test_verify_refuses_a_truncated_model(rendezvous_bundle, tmp_path):
    copy = shutil.copytree(rendezvous_bundle, tmp_path / "b")
    model = copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:1000])
    refused("model.onnx", "verify", copy)
    refused(str(tmp_path / "nothing"), "verify", tmp_path / "nothing")


def test_unknown_config_key(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("robts: 5\n")
    refused("did you mean 'robots'?", "train", "--config", file, "--run-dir", tmp_path / "run")
    file.write_text("robots: [nonsense\n")
    refused("not valid YAML", "train", "--config", file, "--run-dir", tmp_path / "run")
    refused("cannot be read", "train", "--config", tmp_path / "no.yaml")


def test_bad_training_values(tmp_path):
    refused("unknown scenario", "train", "--scenario", "chess", "--run-dir", tmp_path / "a")
    refused("nothing to resume", "train", "--resume", "--run-dir", tmp_path / "b")


def test_export_of_something_that_is_no_run(tmp_path):
    refused("no training run", "export", tmp_path, "--out", tmp_path / "bundle")


def test_evaluate_of_nothing(tmp_path):
    refused("does not exist", "evaluate", tmp_path / "nothing")
    refused("unknown fault 'explode'", "evaluate", "heuristic", "--faults", "explode")


def test_flights_that_cannot_start(rendezvous_bundle, tmp_path):
    fly = ("fly", "--bundle", rendezvous_bundle, "--record", tmp_path / "f", "--robots")
    refused("a live team has 1 to 64", *fly, 99)
    refused("10 robots run in 1 to 10 processes", *fly, 10, "--processes", 11)
    refused("not of the form", *fly, 3, "--fault", "crash")
    refused("unknown fault kind", *fly, 3, "--fault", "explode:1@2")
    refused("count from 0", *fly, 3, "--fault", "crash:3@2")
    refused("above 0", *fly, 3, "--seconds", -1)
    refused("out of range", *fly, 3, "--domain", 500)
    refused("does not exist", "fly", "--bundle", tmp_path / "no", "--robots", 3)


def test_demos_that_cannot_start(tmp_path):
    refused("breaks three", "demo", "--robots", 3)
    refused("exclude each other", "demo", "--train", "--bundle", tmp_path)
    refused("exists already", "demo", "--out", tmp_path)
    refused("at least 20", "demo", "--seconds", 3)


def test_reports_without_flights(tmp_path):
    refused("is no flight folder", "report", tmp_path)


def test_benches_by_name():
    refused("unknown bench 'speed'", "bench", "speed")


@pytest.mark.parametrize(
    ("module", "extra", "args"),
    [
        ("torch", "train", ("train", "--run-dir", "x")),
        ("pybullet", "sim", ("validate",)),
        ("onnx", "export", ("export", "x", "--out", "y")),
        ("rosbags", "record", ("report", "{flight}")),
    ],
)
def test_a_missing_extra_is_named(module, extra, args, tmp_path):
    flight = tmp_path / "flight"
    (flight / "mcap").mkdir(parents=True)
    (flight / "mcap/x.mcap").touch()
    (flight / "events.jsonl").write_text(
        '{"event": "flight", "t": 0, "robots": 2}\n{"event": "started", "t": 1}\n'
    )
    block = tmp_path / "block"
    block.mkdir()
    (block / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    args = [arg.format(flight=flight) for arg in args]
    refused(f"swarmhold[{extra}]", *args, env={"PYTHONPATH": str(block)}, cwd=tmp_path)
