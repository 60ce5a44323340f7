"""Anything in every file and option that people write: a value, or one line."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.fleet.file import FleetFile, Host, Options, Robot, load_fleet
from swarmhold.hardware.fleet.story import parse_fault, parse_join
from swarmhold.hardware.slot import read_slot

MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalar = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("a")
)
anything = st.recursive(
    scalar,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | scalar, inner)
    ),
    max_leaves=6,
)


def mapping(*kinds):
    """Mappings in which known keys have any values, and those that fit often enough."""
    keys = sorted({name for kind in kinds for name in kind.model_fields})
    return st.dictionaries(st.sampled_from(keys), anything, max_size=4)


robots = st.lists(
    st.builds(lambda more, name: {"name": name, **more}, mapping(Robot), st.sampled_from("abc")),
    max_size=3,
)
fleets = st.builds(
    lambda more, rest: {"bundle": "b", **more, **rest},
    st.fixed_dictionaries(
        {},
        optional={
            "all": mapping(Options) | anything,
            "types": st.dictionaries(st.just("a") | st.text(max_size=3), mapping(Options))
            | anything,
            "hosts": st.dictionaries(st.just("a"), mapping(Host) | anything) | anything,
        },
    ),
    mapping(FleetFile) | st.fixed_dictionaries({"robots": robots | anything}),
)


def one_line(kind, function, *args):
    try:
        return function(*args)
    except kind as error:
        assert "\n" not in str(error) and str(error)
        return None


@MANY
@given(fleets | anything)
def test_a_fleet_file(tmp_path, values):
    file = tmp_path / "fleet.yaml"
    file.write_text(yaml.safe_dump(values))
    one_line(ConfigError, load_fleet, file)


@MANY
@given(st.binary(max_size=200))
def test_a_fleet_file_of_any_bytes(tmp_path, data):
    file = tmp_path / "fleet.yaml"
    file.write_bytes(data)
    one_line(ConfigError, load_fleet, file)


@pytest.fixture(scope="module")
def sealed(rendezvous_bundle):
    return json.loads((rendezvous_bundle / "manifest.json").read_text())


@MANY
@given(data=st.data())
def test_a_manifest(tmp_path, sealed, data):
    """Nothing but the very values that were sealed opens, and without its files not even these."""
    key = data.draw(st.sampled_from(sorted(sealed)))
    values = {**sealed, key: data.draw(anything)}
    (tmp_path / "manifest.json").write_text(json.dumps(values, default=str, skipkeys=True))
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path)
    assert "\n" not in str(caught.value)


@MANY
@given(st.binary(max_size=200) | anything.map(lambda v: json.dumps(v, skipkeys=True).encode()))
def test_a_manifest_and_a_slot_of_any_bytes(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "slot.json").write_bytes(data)
    one_line(BundleError, read_slot, tmp_path)
    (tmp_path / "slot.json").unlink()


number = (
    st.integers(-3, 70).map(str) | st.floats().map(str) | st.text("0123456789.+-einfx", max_size=6)
)


@MANY
@given(st.text(max_size=20) | st.tuples(
    st.sampled_from([*KINDS, "", "x"]), number, number, st.sampled_from(["", "+"]), number
).map(lambda parts: "{}:{}@{}{}{}".format(*parts)))  # fmt: skip
def test_a_fault_on_the_command_line(text):
    fault = one_line(ConfigError, parse_fault, text)
    assert fault is None or (fault.robot >= 0 and fault.start_s >= 0.0 and fault.duration_s > 0.0)


@MANY
@given(st.text(max_size=20) | st.tuples(number, number).map("@".join))
def test_a_join_on_the_command_line(text):
    joined = one_line(ConfigError, parse_join, text)
    assert joined is None or (joined[0] >= 0 and joined[1] >= 0.0)
