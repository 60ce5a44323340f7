"""The keystore of a team: whom it lets do what, that it verifies, and that it stays what it is."""

import json
import shutil
import stat
import subprocess
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from swarmhold.hardware.cli import doctor
from swarmhold.hardware.cli.keystore import main
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.security.access import ESTOP, FAULTS, HEALTH, team_access
from swarmhold.hardware.security.keystore import ENCLAVE, make_keystore, missing_from
from swarmhold.hardware.security.middleware import secured
from swarmhold.hardware.security.policies import governance, permissions

x509 = pytest.importorskip("cryptography.x509")

DOMAIN = 42
TEAM = team_access([True, False, False], 2)
WHO = {
    *("/robot_0/policy", "/robot_1/policy", "/robot_2/policy", "/supervisor", "/supervisor_1"),
    *("/world", "/recorder", "/faults", "/operator"),
}
# Elements of DDS Security 1.1, tables 63 and 67, in their order; what each of them holds.
STRUCTURE = {
    "dds": ["permissions", "domain_access_rules"],
    "permissions": ["grant"],
    "grant": ["subject_name", "validity", "allow_rule", "deny_rule", "default"],
    "validity": ["not_before", "not_after"],
    "allow_rule": ["domains", "publish", "subscribe", "relay"],
    "domains": ["id", "id_range"],
    "publish": ["topics", "partitions"],
    "subscribe": ["topics", "partitions"],
    "topics": ["topic"],
    "domain_access_rules": ["domain_rule"],
    "domain_rule": [
        *("domains", "allow_unauthenticated_participants", "enable_join_access_control"),
        *("discovery_protection_kind", "liveliness_protection_kind", "rtps_protection_kind"),
        "topic_access_rules",
    ],
    "topic_access_rules": ["topic_rule"],
    "topic_rule": [
        *("topic_expression", "enable_discovery_protection", "enable_liveliness_protection"),
        *("enable_read_access_control", "enable_write_access_control"),
        *("metadata_protection_kind", "data_protection_kind"),
    ],
}
VALUES = {
    "default": {"DENY"},
    "enable_join_access_control": {"true"},
    "enable_read_access_control": {"true"},
    "enable_write_access_control": {"true"},
    "allow_unauthenticated_participants": {"false"},
    "rtps_protection_kind": {"SIGN", "ENCRYPT"},
    "data_protection_kind": {"ENCRYPT"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keystore")
    return folder, make_keystore(folder, TEAM, DOMAIN, 30)


@pytest.fixture
def keystore(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "keystore", symlinks=True)


def certificate(file):
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_every_process_of_the_team_has_an_enclave(made):
    folder, said = made
    assert set(TEAM) == set(said.new) == WHO and not said.kept and not said.gone
    assert not missing_from(folder, TEAM)
    here = {"/" + str(f.parent.relative_to(folder / "enclaves")) for f in folder.rglob("cert.pem")}
    assert here == WHO
    assert "/faults" not in team_access([False, False], 1), "there is nothing to break"


def test_identities_are_vouched_for_and_keys_are_their_owners(made):
    folder, _ = made
    authority = certificate(folder / "public/ca.cert.pem")
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    serials = set()
    for enclave in TEAM:
        place = folder / f"enclaves{enclave}"
        found = certificate(place / "cert.pem")
        found.verify_directly_issued_by(certificate(place / "identity_ca.cert.pem"))
        found.verify_directly_issued_by(authority)
        assert found.subject.rfc4514_string() == f"CN={enclave}"
        assert found.public_key().curve.name == "secp256r1"
        assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert found.not_valid_after_utc <= authority.not_valid_after_utc
        serials.add(found.serial_number)
    assert len(serials) == len(TEAM)
    for key in [*folder.rglob("key.pem"), *(folder / "private").iterdir()]:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "private").stat().st_mode) == 0o700


def smime(folder, name, authority):
    command = ["openssl", "smime", "-verify", "-in", str(folder / f"{name}.p7s")]
    return subprocess.run(
        [*command, "-CAfile", str(authority)], capture_output=True, timeout=20, cwd=folder
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_what_is_signed_is_what_the_authority_has_signed(made, tmp_path):
    folder, _ = made
    other = tmp_path / "other"
    make_keystore(other, {}, DOMAIN, 30)
    for enclave in TEAM:
        place = folder / f"enclaves{enclave}"
        for name, document in (
            ("permissions", place / "permissions.xml"),
            ("governance", folder / "enclaves/governance.xml"),
        ):
            done = smime(place, name, place / "permissions_ca.cert.pem")
            assert done.returncode == 0, done.stderr
            text = done.stdout.decode().replace("\r\n", "\n")
            assert text.endswith(document.read_text())
            assert smime(place, name, other / "public/ca.cert.pem").returncode != 0
    forged = folder / "enclaves/robot_1/policy/permissions.p7s"
    (tmp_path / "permissions.p7s").write_text(
        forged.read_text().replace("rt/robot_1/state", "rt/robot_0/state")
    )
    assert smime(tmp_path, "permissions", folder / "public/ca.cert.pem").returncode != 0


@pytest.mark.parametrize("name", ["permissions", "governance"])
def test_documents_are_built_as_the_standard_has_it(name):
    begins = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    text = {
        "permissions": permissions("/world", TEAM["/world"], DOMAIN, begins, begins),
        "governance": governance(DOMAIN),
    }[name]
    root = ET.fromstring(text.split("?>", 1)[1])
    seen = set()
    for element in root.iter():
        seen.add(element.tag)
        tags = [child.tag for child in element]
        allowed = STRUCTURE.get(element.tag, [])
        assert tags == sorted(tags, key=allowed.index), element.tag
        assert element.tag in STRUCTURE or (element.text and not tags)
        assert element.text in VALUES.get(element.tag, {element.text})
    needed = {"grant", "default"} if name == "permissions" else {"domain_rule", "topic_rule"}
    assert {*needed, "domains"} <= seen
    assert root.find(".//domains/id").text == str(DOMAIN)
    assert name == "governance" or root.find(".//not_before").text == "2026-01-02T03:04:05"


def allowed(folder, enclave, verb):
    root = ET.parse(folder / f"enclaves{enclave}/permissions.xml").getroot()
    return {topic.text for topic in root.findall(f".//allow_rule/{verb}/topics/topic")}


def test_nobody_speaks_for_another(made):
    folder, _ = made
    speaks = {enclave: allowed(folder, enclave, "publish") for enclave in TEAM}
    for enclave, topics in speaks.items():
        assert not [topic for topic in topics if "*" in topic or "?" in topic]
        for topic in topics:
            if topic.startswith(("rt/robot_", "rr/robot_")):
                owner = "/" + topic.split("/")[1]
                assert enclave.startswith(owner + "/") or (
                    enclave == "/world" and topic.endswith("/sense")
                )
    only = {
        HEALTH: {"/supervisor", "/supervisor_1"},
        FAULTS: {"/faults"},
        ESTOP: {"/operator"},
        "/swarm/truth": {"/world"},
        "/swarm/task": {"/world"},
    }
    for topic, who in only.items():
        assert {enclave for enclave, topics in speaks.items() if f"rt{topic}" in topics} == who
    hears = {enclave for enclave in TEAM if f"rt{FAULTS}" in allowed(folder, enclave, "subscribe")}
    assert hears == {"/robot_0/policy", "/world", "/recorder", "/operator"}


def contents(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_made_again_it_stays_what_it_is(keystore):
    before = contents(keystore)
    said = make_keystore(keystore, TEAM, DOMAIN, 300)
    assert not said.new and set(said.kept) == WHO and contents(keystore) == before


def test_who_comes_gets_an_enclave_and_who_leaves_is_named(keystore):
    before = contents(keystore)
    said = make_keystore(keystore, team_access([True] * 4, 2), DOMAIN, 30)
    assert said.new == ("/robot_3/policy",) and not said.gone
    after = contents(keystore)
    changed = {name for name in before if after[name] != before[name]}
    assert not [name for name in changed if not name.split("/")[-1].startswith("permissions")]
    assert "enclaves/robot_0/policy/permissions.xml" in changed, "it hears one more"
    said = make_keystore(keystore, team_access([True], 1), DOMAIN, 30)
    robots = ("/robot_1/policy", "/robot_2/policy", "/robot_3/policy")
    assert said.gone == (*robots, "/supervisor_1") and not said.new


def test_certificates_that_are_over_or_of_another_authority_are_made_anew(keystore):
    place = keystore / "enclaves/robot_1/policy"
    key, old = (place / "key.pem").read_bytes(), certificate(place / "cert.pem")
    shutil.copy(keystore / "public/ca.cert.pem", place / "cert.pem")
    said = make_keystore(keystore, TEAM, DOMAIN, 30)
    assert said.new == ("/robot_1/policy",) and (place / "key.pem").read_bytes() == key
    found = certificate(place / "cert.pem")
    assert found.serial_number != old.serial_number and found.public_key() == old.public_key()


def test_validity_ends_when_it_was_asked_to(keystore):
    root = ET.parse(keystore / "enclaves/world/permissions.xml").getroot()
    ends = datetime.fromisoformat(root.find(".//not_after").text).replace(tzinfo=timezone.utc)
    assert ends == certificate(keystore / "enclaves/world/cert.pem").not_valid_after_utc
    left = ends - datetime.now(timezone.utc)
    assert timedelta(days=29) < left < timedelta(days=31)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "private/ca.key.pem").unlink(), "only one of"),
        (lambda folder: (folder / "private/ca.key.pem").chmod(0o644), "chmod 600"),
        (lambda folder: (folder / "private/ca.key.pem").write_text("x"), "no private key in PEM"),
        (lambda folder: (folder / "public/ca.cert.pem").write_text("x"), "is over, or not of"),
    ],
)
def test_a_spoilt_authority_is_one_line(keystore, spoil, words):
    spoil(keystore)
    with pytest.raises(ConfigError, match=words) as caught:
        make_keystore(keystore, TEAM, DOMAIN, 30)
    assert "\n" not in str(caught.value)


def test_a_keystore_that_lacks_something_is_named_before_anything_starts(keystore):
    (keystore / "enclaves/robot_2/policy/permissions.p7s").unlink()
    with pytest.raises(NotReadyError, match=r"lacks enclaves/robot_2/policy/permissions\.p7s"):
        secured(keystore, TEAM)
    shutil.rmtree(keystore)
    with pytest.raises(NotReadyError, match=f"and {len(TEAM) * len(ENCLAVE) - 1} more"):
        secured(Path(keystore), TEAM)


FILE = "bundle: rendezvous-epuck\n{}robots: [{{name: a, allow_faults: true}}, {{name: b}}]\n"


def test_the_verb(tmp_path, capsys):
    file, out = tmp_path / "fleet.yaml", tmp_path / "keys"
    file.write_text(FILE.format(""))
    with pytest.raises(ConfigError, match="write domain: into"):
        main([str(file), str(out)])
    file.write_text(FILE.format("domain: 7\n"))
    assert main([str(file), str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"/robot_0/policy", "/robot_1/policy", "/faults", "/operator"} <= set(said["new"])
    file.write_text("bundle: rendezvous-epuck\ndomain: 7\nrobots: [{name: a}]\n")
    assert main([str(file), str(out)]) == 0
    shown = capsys.readouterr().out
    assert "0 of them new" in shown
    assert "/robot_1/policy is no longer in the team" in shown


def test_doctor_says_whether_it_can_be_flown_with():
    levels = {can: doctor.dds_security(can).level for can in (True, False, None)}
    assert levels == {True: "ok", False: "warn", None: "warn"}
    assert "official ROS 2 installation" in doctor.dds_security(False).cure
