"""A fine-tuned bundle is promoted once it has looked on long enough, and wanted little else."""

import json

import pytest

from swarmhold.hardware.bundle import open_bundle, seal_bundle
from swarmhold.hardware.cli.main import main
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.promotion import promote
from swarmhold.hardware.watched import FEWEST, watched

LONG = 6500  # decisions at 10 Hz, more than ten minutes


@pytest.fixture(scope="module")
def make(tmp_path_factory, rendezvous_bundle):
    """Bundles by version, fine-tuned or not."""
    place = tmp_path_factory.mktemp("bundles")

    def bundle(version, finetuned=True):
        folder = place / f"bundle-{version}-{finetuned}"
        if folder.exists():
            return folder
        values = json.loads((rendezvous_bundle / "manifest.json").read_text())
        for key in ("schema_version", "spec", "spec_digest"):
            values.pop(key)
        files = {name: (rendezvous_bundle / name).read_bytes() for name in values.pop("files")}
        if finetuned:
            values["training"] = {**values["training"], "finetuned": {"parent": "p"}}
        seal_bundle(folder, {**values, "version": version}, files)
        return folder

    return bundle


@pytest.fixture
def flown(make):
    return open_bundle(make(1, finetuned=False)).digest


@pytest.fixture
def shadow(make):
    return open_bundle(make(2))


def flight(folder, flown, shadow, *said):
    """Events of a flight: robot, decisions, 95th percentile and problem of what shadows said."""
    folder.mkdir()
    lines = [{"event": "flight", "t": 0.0, "robots": 3, "digest": flown, "shadow_digest": shadow}]
    lines += [
        {"event": "shadow", "t": 1.0 + k, "robot": robot, "decisions": many, "mean": 0.0,
         "most": 0.0, "p95": p95, "inference_s": 0.001, "problem": problem}
        for k, (robot, many, p95, problem) in enumerate(said)
    ]  # fmt: skip
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([(0, LONG, 0.1, ""), (1, 300, 0.14, "")], ""),
        ([(0, LONG, 0.1, ""), (1, FEWEST - 1, 0.9, "")], ""),
        ([(0, 3300, 0.1, ""), (0, 3300, 0.1, "")], "330 s, and 600 s are needed"),
        ([(0, 3300, 0.1, ""), (0, 3290, 0.1, "")], ""),  # two lives of one robot
        ([(0, 3300, 0.1, ""), (1, 3300, 0.1, "")], "330 s, and 600 s are needed"),
        ([(0, LONG, 0.1, ""), (1, 300, 0.16, "")], r"differs .* by 0\.16"),
        ([(0, 300, 0.9, ""), (0, LONG, 0.1, "")], ""),  # the same life, and better since
        ([(0, LONG, 0.1, ""), (1, 50, 0.0, "its output is not finite")], "not finite"),
        ([], "0 s, and 600 s are needed"),
    ],
)
def test_time_and_disagreement_decide(tmp_path, flown, shadow, said, why):
    found = watched([flight(tmp_path / "f", flown, shadow.digest, *said)], shadow, flown)
    if not why:
        assert found.refusal == ""
    else:
        with pytest.raises(AssertionError, match=why):
            assert found.refusal == "", found.refusal


def test_flights_add_up_and_count_once(tmp_path, flown, shadow):
    folders = [
        flight(tmp_path / name, flown, shadow.digest, (0, 3300, 0.1, "")) for name in ("a", "b")
    ]
    assert watched(folders, shadow, flown).seconds == pytest.approx(660.0)
    with pytest.raises(ConfigError, match="given twice"):
        watched([folders[0], folders[0]], shadow, flown)


def test_lines_of_others_are_no_evidence(tmp_path, flown, shadow):
    folder = flight(tmp_path / "f", flown, shadow.digest, (0, LONG, 0.1, ""))
    rubbish = [{"robot": 0}, {"robot": "x", "decisions": 10**9, "p95": 0.0},
               {"robot": 1, "decisions": LONG, "p95": float("nan")}]  # fmt: skip
    with (folder / "events.jsonl").open("a") as out:
        out.writelines(json.dumps({"event": "shadow", "t": 9.0, **one}) + "\n" for one in rubbish)
    assert watched([folder], shadow, flown).seconds == pytest.approx(LONG / shadow.spec.rate_hz)


def test_the_slot_asks_for_it(tmp_path, make, flown, shadow, capsys):
    slot, next_one = tmp_path / "slot", make(2)
    promote(make(1, finetuned=False), slot)
    with pytest.raises(BundleError, match="watched for 0 s"):
        promote(next_one, slot)
    other = flight(tmp_path / "other", flown, "0" * 64, (0, LONG, 0.1, ""))
    with pytest.raises(ConfigError, match="looked on, not sha256"):
        promote(next_one, slot, (), [other])
    elsewhere = flight(tmp_path / "elsewhere", "1" * 64, shadow.digest, (0, LONG, 0.1, ""))
    with pytest.raises(ConfigError, match="that is to be replaced"):
        promote(next_one, slot, (), [elsewhere])
    assert open_bundle(slot).digest == flown
    good = flight(tmp_path / "good", flown, shadow.digest, (0, LONG, 0.1, ""))
    given = ["promote", str(next_one), "--slot", str(slot)]
    assert main(given) == 2 and "--unwatched" in capsys.readouterr().err
    assert main([*given, "--shadow", str(good), "--unwatched"]) == 2
    assert main([*given, "--shadow", str(good)]) == 0
    assert open_bundle(slot).digest == shadow.digest
    assert main(["promote", str(make(3)), "--slot", str(slot), "--unwatched"]) == 0
    with pytest.raises(ConfigError, match="looked on"):  # asked for where nobody must
        promote(make(4, finetuned=False), slot, (), [good])
    promote(make(4, finetuned=False), slot)
