"""What lets an order to break a robot through, and what does not."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.permission import TOKEN, check_permission, forget_token, with_tokens
from swarmhold.hardware.injection.gate import FRESH_S, MARKER, Gate, Order, RefusedError
from swarmhold.hardware.operator_token import read_token, write_token

OURS, THEIRS = "o" * 24, "t" * 24
NOW = 1_000.0
FAULT = FaultSpec("spoof", 2, duration_s=5.0, severity=0.3, seed=7)
ORDER = Order.signed(FAULT, int(NOW * 1e9), OURS)


@pytest.fixture
def tokens(tmp_path):
    for name in ("robots", "operator"):
        write_token(tmp_path / name)
    return tmp_path / "robots", tmp_path / "operator"


def test_a_signed_order_of_now_passes_once():
    gate = Gate(OURS)
    gate.check(ORDER, NOW)
    with pytest.raises(RefusedError, match="was obeyed before"):
        gate.check(ORDER, NOW + 1.0)
    gate.check(Order.signed(FAULT, int((NOW + 1.0) * 1e9), OURS), NOW + 1.0)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (replace(ORDER, signature=""), "no operator token.*--faults-token"),
        (Order.signed(FAULT, ORDER.stamp_ns, THEIRS), "another token"),
        (replace(ORDER, signature="\u00e9\ud800" * 40), "another token"),
        (replace(ORDER, stamp_ns=ORDER.stamp_ns + 1), "another token"),
        *(
            (replace(ORDER, fault=replace(FAULT, **change)), "another token")
            for change in (
                {"kind": "nan"}, {"robot": 1}, {"duration_s": 6.0}, {"severity": 1.0}, {"seed": 8},
            )
        ),
    ],
)  # fmt: skip
def test_what_was_not_signed_as_it_is_is_refused(order, says):
    with pytest.raises(RefusedError, match=f"spoof|nan.*{says}") as caught:
        Gate(OURS).check(order, NOW)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("later", [-FRESH_S - 1.0, FRESH_S + 1.0])
def test_an_order_of_another_time_is_refused(later):
    with pytest.raises(RefusedError, match="clocks"):
        Gate(OURS).check(ORDER, NOW + later)


def test_no_order_passes_twice_however_long_one_waits():
    gate, passed = Gate(OURS), 0
    for tenth in range(-150, 400):
        try:
            gate.check(ORDER, NOW + 0.1 * tenth)
            passed += 1
        except RefusedError:
            continue
    assert passed == 1


def test_a_fault_without_an_end_can_be_signed():
    order = Order.signed(FaultSpec("nan", 0), int(NOW * 1e9), OURS)
    assert order.fault.duration_s == 1e6
    Gate(OURS).check(order, NOW)


def test_a_node_that_is_to_obey_needs_a_token(tmp_path):
    with pytest.raises(ConfigError, match="swarmhold faults token"):
        Gate.of("")
    with pytest.raises(ConfigError, match="cannot be read"):
        Gate.of(str(tmp_path / "none"))


def test_a_token_is_made_once_and_its_owners_alone(tmp_path):
    write_token(tmp_path / "token")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="exists already"):
        write_token(tmp_path / "token")
    write_token(tmp_path / "other")
    assert read_token(tmp_path / "token") != read_token(tmp_path / "other")


def fleet(folder, **more):
    return FleetConfig(Path("rendezvous-epuck"), 2, folder, **more)


def test_simulated_robots_get_a_token_for_their_flight(tmp_path):
    config = fleet(tmp_path, allow_faults=True)
    check_permission(config)
    equipped = with_tokens(config)
    assert equipped.faults_token == equipped.operator_token == tmp_path / TOKEN
    assert with_tokens(fleet(tmp_path)) == fleet(tmp_path)
    forget_token(tmp_path)
    assert not (tmp_path / TOKEN).exists()


def test_real_robots_are_broken_only_with_everything(tmp_path, tokens):
    robots, operator = tokens
    (tmp_path / "same").write_bytes(robots.read_bytes())
    (tmp_path / "same").chmod(0o600)
    open_, closed = Options(allow_faults=True), Options()
    told = {"hardware": True, "allow_faults": True, "each": (open_, open_)}
    for lacking, says in (
        ({}, "faults_token in the fleet file"),
        ({"faults_token": robots}, "--faults-token FILE"),
        ({"faults_token": robots, "operator_token": operator}, "not the token"),
        ({"faults_token": robots, "each": (open_, closed)}, "robots 1 do not allow faults"),
    ):
        with pytest.raises(ConfigError, match=says):
            check_permission(fleet(tmp_path, **{**told, **lacking}))
    check_permission(fleet(tmp_path, **told, faults_token=robots, operator_token=tmp_path / "same"))
    check_permission(fleet(tmp_path, hardware=True, each=(closed, closed)))


def without_the_marker(folder):
    """Metadata of the same package as a robot's installation has them, first on the path."""
    ours = distribution("swarmhold")
    target = folder / f"swarmhold-{ours.version}.dist-info"
    target.mkdir()
    for name in ("METADATA", "RECORD", "entry_points.txt"):
        (target / name).write_text(ours.read_text(name) or "")
    return folder


def test_an_installation_that_was_not_built_for_it_refuses(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(without_the_marker(tmp_path)))
    with pytest.raises(ConfigError, match=r"built without fault injection.*SWARMHOLD_FAULTS=1"):
        check_permission(fleet(tmp_path, allow_faults=True))
    with pytest.raises(ConfigError, match="built without fault injection"):
        Gate.of(str(tmp_path))


@pytest.mark.parametrize("flag", ["", "0", "1"])
@pytest.mark.parametrize("editable", [False, True])
def test_the_flag_of_the_build_is_sealed_into_the_metadata(root, tmp_path, flag, editable):
    build = "build_editable" if editable else "build_wheel"
    code = f"import hatchling.build as b; print(b.{build}({str(tmp_path)!r}))"
    env = {"PATH": "/usr/bin:/bin", "SWARMHOLD_FAULTS": flag}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / done.stdout.split()[-1]
    unpacked = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True
    )
    assert (f"dist-info/{MARKER}" in unpacked.stdout) == (flag == "1")
