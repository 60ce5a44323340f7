"""Reports of one plan from several worlds: who found what, and why others did not."""

import pytest

from swarmhold.hardware.drivers.links import LACKS
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.compare import compare, markdown, names_of, summary

FOUND = {"status": "applied", "confirmed_s": 0.4, "suspected_s": 0.3}


def row(kind="crash", index=0, to_be_found=True, **more):
    base = {"index": index, "kind": kind, "robot": 1, "to_be_found": to_be_found, "start_s": 5.0}
    quiet = {"end_s": 9.0, "status": "applied", "out_before": False, "before": "HEALTHY"}
    never = {"suspected_s": None, "confirmed_s": None, "speed_mps": 0.2}
    return {**base, **quiet, **never, **more}


def report(*flights, world="sim", link="", lanes=()):
    robots = [[[0.0, 0]], [[0.0, 0]], *lanes]
    return {
        "world": world, "link": link, "rows": [list(own) for own in flights],
        "aborted": "robots [2] touched something", "lanes": {"robots": robots},
    }  # fmt: skip


def fates(*reports):
    (line,) = compare(reports)
    return line


def why(**found):
    line = fates(report([row(**FOUND)]), report([row(**found)], link=found.pop("link", "twist")))
    assert not line.agrees and line.fates[0].detected and not line.fates[1].detected
    return line.fates[1].reason, line.fates[1].why, line.missed


def test_what_is_found_everywhere_or_nowhere_agrees():
    assert fates(report([row(**FOUND)]), report([row(**FOUND)], world="ros")).agrees
    assert fates(report([row()]), report([row()], world="ros")).agrees


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        ({"status": "not injected"}, "not injected", "aborted: robots [2] touched something"),
        ({"status": "no effect", "speed_mps": 0.0}, "no effect", "stood still (0.000 m/s)"),
        ({"status": "no effect"}, "no effect", "nothing could be seen"),
        ({"status": "healed by itself"}, "healed by itself", "acted no more"),
        ({"out_before": True, "before": "ESTOPPED"}, "out before", "lay on the ground"),
        ({"out_before": True, "before": "PROBATION"}, "out before", "out of the team: probation"),
    ],
)
def test_what_could_not_be_found_there_is_told_from_what_was_missed(found, reason, words):
    named, said, missed = why(**found)
    assert named == reason and words in said and not missed


def test_a_fault_that_a_link_cannot_do_is_explained_by_what_it_lacks():
    line = fates(
        report([row("battery", **FOUND)]),
        report([row("battery", status="unsupported")], world="emulated", link="twist"),
    )
    assert line.fates[1].why == LACKS["twist"]["battery"] and not line.missed


def test_a_miss_is_a_miss_and_says_who_else_was_not_trusted():
    named, said, missed = why(suspected_s=0.7)
    assert named == "missed" and missed and "doubted after 0.70 s" in said
    lost, fine = [[0.0, 0], [6.0, 2], [8.0, 0]], [[0.0, 0], [9.5, 2]]
    line = fates(report([row(**FOUND)]), report([row()], world="ros", lanes=(lost, fine)))
    assert line.fates[1].why == "nobody doubted it, while others (2) were not trusted either"


def test_of_several_flights_most_decide_and_the_commonest_reason_is_told():
    rows = [[row(**FOUND)], [row(**FOUND)], [row(status="no effect")]]
    line = fates(report(*rows), report([row(**FOUND)], world="ros"))
    assert line.agrees and (line.fates[0].found, line.fates[0].flights) == (2, 3)
    assert line.fates[0].reason == "no effect"
    assert "0.40 s, 2 of 3" in "\n".join(markdown([line], ["sim", "ros"]))


def test_who_is_not_to_be_taken_out_has_to_stay_in():
    line = fates(
        report([row("drop", to_be_found=False)]),
        report([row("drop", to_be_found=False, **FOUND)], world="ros"),
    )
    assert not line.agrees and "what gets through is true" in line.fates[1].why
    table = "\n".join(markdown([line], ["sim", "ros"]))
    assert "stays in | unjust | **no**" in table


def test_the_summary_counts_and_worlds_are_told_apart():
    two = [row(**FOUND), row("nan", 1)], [row(**FOUND), row("nan", 1, **FOUND)]
    reports = [report(two[0], world="emulated", link="mavlink") for _ in "ab"]
    reports.append(report(two[1], world="ros"))
    assert names_of(reports) == ["mavlink (1)", "mavlink (2)", "ros"]
    over = [report([], world="ros") | {"network": name} for name in ("loopback", "namespaces")]
    assert names_of(over) == ["ros", "ros namespaces"]
    said = summary(compare(reports), 3)
    assert (
        "1 of 2 faults had the same fate in all 3 worlds" in said
        and "1 acted somewhere and was missed" in said
    )


def test_reports_of_different_plans_are_refused():
    with pytest.raises(ConfigError, match="flew other faults"):
        compare([report([row()]), report([row("nan")], world="ros")])
