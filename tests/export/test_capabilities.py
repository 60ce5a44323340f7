"""The table of what each world can do: made from flights, and whole."""

import json
from pathlib import Path
from typing import get_args

import pytest

from swarmhold.export.capabilities import WORLDS, beyond, columns, markdown, shipped
from swarmhold.export.faults_cli import main
from swarmhold.export.plan_cli import CheckedWorld, located
from swarmhold.hardware.drivers.links import LACKS
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.plan import load_plan

FLOWN = [world for world in WORLDS if world != "hardware"]


def report(world, *rows):
    """One layout of a flown plan."""
    told = [{"kind": kind, "status": status} for kind, status in rows]
    return {"world": "emulated", "link": world, "rows": [told]}


@pytest.mark.parametrize("world", FLOWN)
def test_every_cell_was_flown_and_says_what_came_of_it(world):
    column = shipped()[world]
    assert set(column) == set(KINDS), "a kind is missing; fly every-kind there"
    for kind, cell in column.items():
        assert cell["status"] in ("applied", "no effect", "unsupported"), kind
        assert sum(cell["tries"].values()) >= 1, kind


@pytest.mark.parametrize("world", FLOWN)
def test_what_could_not_be_done_is_what_links_say_that_they_lack(world):
    unsupported = {
        k: c["reason"] for k, c in shipped()[world].items() if c["status"] == "unsupported"
    }
    assert unsupported == LACKS.get(world, {})


def test_the_table_in_the_docs_is_this_one(root):
    assert markdown(shipped()) in (root / "docs/results/capabilities.md").read_text()
    assert get_args(CheckedWorld) == WORLDS


@pytest.mark.parametrize("world", WORLDS)
def test_plans_are_held_against_the_same_table(world, capsys):
    plan = load_plan(located(Path("every-kind")))
    lines = beyond(shipped(), world, plan.faults_drawn())
    assert len(lines) == len(LACKS.get(world, {}))
    given = ["plan", "every-kind", "--world", world]
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unsupported"] == lines
    if not lines:
        assert main([*given, "--check"]) == 0
        return
    with pytest.raises(
        ConfigError, match=f"{world} cannot do {len(lines)} of its faults"
    ) as caught:
        main([*given, "--check"])
    assert "\n" not in str(caught.value)


def test_cells_come_from_reports_and_nowhere_else(tmp_path):
    rows = [("spoof", "applied"), ("nan", "no effect"), ("battery", "unsupported")]
    more = [("spoof", "no effect"), ("nan", "not injected"), ("clock", "healed by itself")]
    column = columns([report("twist", *rows), report("twist", *more)])["twist"]
    found = {kind: cell["status"] for kind, cell in column.items()}
    assert found.pop("spoof") == "applied" and found.pop("nan") == "no effect"
    assert found.pop("clock") == "applied" and found.pop("battery") == "unsupported"
    assert set(found.values()) == {"not tried"}
    assert column["spoof"]["tries"] == {"applied": 1, "no effect": 1}
    assert "twist says nothing" in column["battery"]["reason"]
    assert "applied, 1 of 2" in markdown({"twist": column})
    more = columns([report("twist", ("spoof", "applied"))], {"twist": column})["twist"]
    assert more["spoof"]["tries"] == {"applied": 2, "no effect": 1}
    assert more["battery"] == column["battery"], "what was tried before stays"
    with pytest.raises(ConfigError, match="a report is of 'moon'"):
        columns([report("moon", *rows)])
    (tmp_path / "run").mkdir()
    (tmp_path / "run/report.json").write_text("{}")
    with pytest.raises(ConfigError, match="damaged"):
        main(["capabilities", str(tmp_path / "run")])
