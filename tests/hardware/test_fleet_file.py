"""The fleet file: three levels, and every mistake named with its key."""

import io
import json
from xml.etree import ElementTree

import pytest
import yaml

from swarmhold.hardware.cli.doctor import main as doctor
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.fleet.budget import budget_of
from swarmhold.hardware.fleet.cli import FlyArgs, fleet_config, main
from swarmhold.hardware.fleet.environment import ALONE
from swarmhold.hardware.fleet.file import Options, load_fleet
from swarmhold.hardware.fleet.hosts import part_of

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
        ({"types": {"scout": {"speed": 1}}}, "unknown key 'types.scout.speed'; known: reweight"),
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
    file.write_text(page.split("## Fleet file")[1].split("```yaml\n")[1].split("```")[0])
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
    expected = 30 * 16 + 15
    assert states.copies == expected, "half of the robots, one of two supervisors, and the recorder"
    assert doctor(["--fleet", str(file)]) == 2
    told = capsys.readouterr().out
    assert "kB/s between hosts" in told and "base: its nodes need" in told
    fine = write(tmp_path, robots=robots[:4])
    assert doctor(["--fleet", str(fine), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["beyond"] == []


def test_fly_says_what_it_cannot_start(tmp_path):
    file = str(write(tmp_path))
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


def test_a_host_runs_its_part_and_looks_for_all_others(tmp_path):
    fleet = load_fleet(write(tmp_path, domain=42))
    base, pi = part_of(fleet, "base"), part_of(fleet, "pi")
    assert (base.robots, base.ranks, base.world) == ((1,), (0,), True)
    assert (pi.robots, pi.ranks, pi.world, pi.lead) == ((0, 2), (1,), False, "base")
    assert str(base) == "robots 1, supervisor 0, world" and pi.runs(2) and not pi.runs(1)
    assert base.network.peers == pi.network.peers == (("10.0.0.1", 5), ("10.0.0.2", 4))
    assert part_of(load_fleet(write(tmp_path, domain=42, world="pi")), "pi").world


def test_discovery_of_a_host_is_unicast_on_its_own_address_to_every_port_there_may_be(tmp_path):
    fleet = load_fleet(write(tmp_path, domain=42))
    profile = ElementTree.fromstring(part_of(fleet, "pi").network.profile(42))
    assert texts(profile, "interfaceWhiteList/address") == ["10.0.0.2", "127.0.0.1"]
    assert texts(profile, "transport_descriptor/type") == ["UDPv4"]
    assert texts(profile, "useBuiltinTransports") == ["false"]
    addresses = texts(profile, "initialPeersList/locator/udpv4/address")
    assert addresses == ["10.0.0.1"] * 5 + ["127.0.0.1"] * 4, "its own nodes need no cable"
    ports = texts(profile, "initialPeersList/locator/udpv4/port")
    assert ports[:5] == [str(7400 + 250 * 42 + 10 + 2 * k) for k in range(5)]
    # A metatraffic locator of one's own is what turns multicast off.
    assert len(profile.findall(".//{*}metatrafficUnicastLocatorList/{*}locator/{*}udpv4")) == 1
    alone = ElementTree.fromstring(ALONE.profile(42))
    assert texts(alone, "interfaceWhiteList/address") == ["127.0.0.1"]
    assert not alone.findall(".//{*}initialPeersList")


def texts(profile, path):
    return [found.text for found in profile.findall(".//{*}" + path.replace("/", "/{*}"))]


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, [], "spreads the team over hosts (base, pi); on each of them: swarmhold fly --fleet"),
        ({}, ["--host", "base"], "name it in the fleet file (domain: 42)"),
        ({"domain": 42}, ["--host", "bas"], "no host 'bas' in the fleet file; did you mean 'base'"),
        ({"domain": 42}, ["--host", "spare"], "nothing of the fleet runs on spare; on base, pi"),
        ({"domain": 42}, ["--host", "pi", "--wait", "-1"], "--wait is -1"),
        (
            {"domain": 42}, ["--host", "pi", "--fault", "crash:1@2"],
            "crash is done on the host of robot 1, not on pi",
        ),
        (
            {"domain": 42, "all": {"host": "pi", "allow_faults": True}},
            ["--host", "pi", "--fault", "spoof:0@2"],
            "spoof is done on the host of the world, not on pi",
        ),
        ({"world": "moon"}, ["--host", "pi"], "world is 'moon'"),
        (
            {"hosts": {"base": {"address": "10.0.0.2"}, "pi": {"address": "10.0.0.2"}}}, [],
            "hosts base, pi have the same address 10.0.0.2",
        ),
        ({"hosts": {"base": {"address": "base.local"}, "pi": {}}}, [], "hosts.base.address ="),
    ],
)  # fmt: skip
def test_what_a_host_cannot_fly_is_one_line(tmp_path, changes, options, words):
    hosts = {**GOOD["hosts"], "spare": {"address": "10.0.0.9"}}
    file = write(tmp_path, **{"hosts": hosts, **changes})
    with pytest.raises(ConfigError) as caught:
        main(["--fleet", str(file), *options])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_another_machine_than_the_file_means_is_refused(tmp_path):
    hosts = {"base": {"address": "10.0.0.1"}, "pi": {"address": "192.0.2.7"}}  # of no machine
    with pytest.raises(NotReadyError, match=r"no address 192\.0\.2\.7.*knows pi; start --host pi"):
        main(["--fleet", str(write(tmp_path, hosts=hosts, domain=42)), "--host", "pi"])


def test_a_host_without_a_fleet_file_is_refused():
    with pytest.raises(ConfigError, match="--host pi is one of a fleet file"):
        main(["--bundle", "b", "--robots", "2", "--host", "pi"])


LINKED = {"name": "cf0", "link": "crazyflie:udp://127.0.0.1:19850"}


@pytest.mark.parametrize(
    ("robots", "words"),
    [
        ([LINKED, {"name": "b"}], "b have no link; give all robots one, or none"),
        ([{"name": "a", "link": "crazyflie"}], "robots.0: link 'crazyflie' is not of the form"),
        ([{"name": "a", "link": "cf:x"}], "robots.0: link 'cf:x' is of no known kind"),
    ],
)
def test_links_are_checked(tmp_path, robots, words):
    options = {"hosts": None, "supervisors": None, "all": None, "types": None, "keys": None}
    with pytest.raises(ConfigError, match=words):
        load_fleet(write(tmp_path, robots=robots, **options))


def test_real_robots_are_armed_only_by_somebody_who_types(tmp_path, monkeypatch):
    options = {"hosts": None, "supervisors": None, "all": None, "types": None, "keys": None}
    file = write(tmp_path, bundle="rendezvous-crazyflie", robots=[LINKED], **options)
    told = ["--fleet", str(file), "--hardware", "--arm", "--record", str(tmp_path / "flight")]
    with pytest.raises(ConfigError, match="confirmed by typing; run it in a terminal"):
        main(told)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    with pytest.raises(ConfigError, match="not confirmed; nothing was armed"):
        main(told)
    file = write(tmp_path, bundle="rendezvous-epuck", robots=[{"name": "a"}], **options)
    with pytest.raises(ConfigError, match="are for robots with links"):
        main(["--fleet", str(file), "--arm"])
