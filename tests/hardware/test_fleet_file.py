"""The fleet file: three levels, and every mistake named with its key."""

import json

import pytest
import yaml

from swarmhold.hardware.cli.doctor import main as doctor
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.budget import budget_of
from swarmhold.hardware.fleet.cli import FlyArgs, fleet_config, main
from swarmhold.hardware.fleet.file import Options, load_fleet

GOOD = {
    "bundle": "slot",
    "keys": ["lab.pub.pem"],
    "hosts": {"base": {"address": "10.0.0.1"}, "pi": {"address": "10.0.0.2", "cores": 4}},
    "supervisors": ["base", "pi"],
    "all": {"host": "pi", "entities": "flicker"},
    "types": {"scout": {"entities": "nearest", "reweight": False}},
    "robots": [
        {"name": "alpha", "type": "scout"},
        {"name": "bravo", "type": "scout", "reweight": True, "host": "base"},
        {"name": "charlie"},
    ],
}


def write(tmp_path, **changes):
    file = tmp_path / "fleet.yaml"
    values = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return file


def test_what_a_robot_says_wins_over_its_type_and_that_over_all(tmp_path):
    fleet = load_fleet(write(tmp_path))
    found = [(r.name, r.host, r.entities, r.reweight) for r in fleet.robots]
    assert found == [
        ("alpha", "pi", "nearest", False),
        ("bravo", "base", "nearest", True),
        ("charlie", "pi", "flicker", True),
    ]
    assert fleet.bundle == tmp_path / "slot" and fleet.keys == (tmp_path / "lab.pub.pem",)
    assert not fleet.on_one_host


def test_a_short_file_is_enough(tmp_path):
    fleet = load_fleet(
        write(
            tmp_path, robots=[{"name": "solo"}], hosts=None, supervisors=None, all=None, types=None,
            keys=None,
        )
    )  # fmt: skip
    assert fleet.on_one_host and fleet.robots[0].reweight and not fleet.robots[0].allow_faults


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundel": "x"}, "unknown key 'bundel'; did you mean 'bundle'?"),
        ({"all": {"hots": "pi"}}, "unknown key 'all.hots'; did you mean 'host'?"),
        ({"types": {"scout": {"speed": 1}}}, "unknown key 'types.scout.speed'; known: host"),
        ({"robots": [{"name": "a"}, {"name": "b", "typ": "scout"}]}, "unknown key 'robots.1.typ'"),
        ({"robots": [{"type": "scout"}]}, "robots.0.name is missing"),
        ({"robots": [{"name": "Bad Name"}]}, "robots.0.name = 'Bad Name'"),
        (
            {"robots": [{"name": "a", "type": "tank"}]},
            "robots.0.type is 'tank'",
        ),
        ({"robots": [{"name": "a"}, {"name": "a"}]}, "robots named a more than once"),
        ({"robots": []}, "robots"),
        ({"robots": "three"}, "robots must be a list"),
        (
            {"robots": [{"name": "a", "host": "moon"}]},
            "robots.0.host is 'moon'",
        ),
        ({"supervisors": ["moon"]}, "supervisors.0 is 'moon'"),
        ({"hosts": {"pi": {"adress": "1"}}}, "unknown key 'hosts.pi.adress'"),
        ({"domain": 500}, "domain = 500"),
        ({"bundle": None}, "bundle is missing"),
        ({"types": ["scout"]}, "types must be a mapping"),
    ],
)
def test_mistakes_are_one_line_with_the_key(tmp_path, changes, words):
    file = write(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        load_fleet(file)
    line = str(caught.value)
    assert words in line and str(file) in line and "\n" not in line


def test_the_example_of_the_docs_is_one(tmp_path, root):
    page = (root / "docs/ros2.md").read_text()
    file = tmp_path / "fleet.yaml"
    file.write_text(page.split("```yaml\n")[1].split("```")[0])
    fleet = load_fleet(file)
    assert [robot.entities for robot in fleet.robots] == ["nearest", "none"]
    for name in Options.model_fields:
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\x00"])
def test_what_is_no_mapping_is_one_line(tmp_path, text):
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_fleet(file)
    assert "\n" not in str(caught.value)


def test_a_plan_on_one_host_puts_nothing_on_the_air(tmp_path):
    here = write(tmp_path, robots=[{"name": f"r{i}"} for i in range(4)], hosts=None,
                 supervisors=None, all=None, types=None)  # fmt: skip
    budget = budget_of(load_fleet(here))
    assert budget.air == 0.0 and not budget.beyond()
    assert 0.2 < budget.cores["localhost"][0] < 1.0


def test_a_plan_beyond_its_means_is_refused_with_the_cure(tmp_path, capsys):
    robots = [{"name": f"r{i}", "host": "pi" if i % 2 else "base"} for i in range(30)]
    hosts = {**GOOD["hosts"], "base": {**GOOD["hosts"]["base"], "cores": 1}}
    file = write(tmp_path, robots=robots, radio_bytes_per_s=100_000.0, hosts=hosts)
    budget = budget_of(load_fleet(file))
    states = budget.flows[0]
    assert states.copies == 30 * 16, "half of the robots, and one of two supervisors"
    assert doctor(["--fleet", str(file)]) == 2
    told = capsys.readouterr().out
    assert "kB/s between hosts" in told and "base: its nodes need" in told
    fine = write(tmp_path, robots=robots[:4])
    assert doctor(["--fleet", str(fine), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["beyond"] == []


def test_fly_says_what_it_cannot_start(tmp_path):
    file = str(write(tmp_path))
    with pytest.raises(ConfigError, match="spreads the team over hosts"):
        main(["--fleet", file])
    for option in (["--robots", "3"], ["--no-reweight"], ["--standbys", "1"]):
        with pytest.raises(ConfigError, match=option[0][-6:]):
            main(["--fleet", file, *option])
    with pytest.raises(ConfigError, match="give --bundle and --robots"):
        main([])
    here = str(write(tmp_path, hosts=None, supervisors=None, all=None))
    values = yaml.safe_load((tmp_path / "fleet.yaml").read_text())
    values["robots"][1].pop("host")
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match="does not allow faults of alpha, bravo, charlie"):
        main(["--fleet", here, "--fault", "spoof:0@1"])


@pytest.mark.parametrize(
    ("named", "asked", "starts"),
    [
        ([], True, (False, 0)), (["localhost"], True, (True, 0)),
        (["localhost"] * 3, True, (True, 2)), (["localhost"] * 3, False, (False, 0)),
    ],
)  # fmt: skip
def test_fly_starts_the_supervisors_of_the_file_with_its_seed(tmp_path, named, asked, starts):
    file = write(tmp_path, robots=[{"name": "solo"}], hosts=None, all=None, types=None,
                 supervisors=named, seed=5)  # fmt: skip
    config = fleet_config(FlyArgs(fleet=file, supervisor=asked), tmp_path / "f", False)
    assert (config.supervisor, config.standbys) == starts and config.seed == 5
    assert fleet_config(FlyArgs(fleet=file, seed=0), tmp_path / "f", False).seed == 0
