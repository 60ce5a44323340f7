"""The page in a real browser: what it shows, its keys, its stop; and that it asks nobody else."""

import json
import sys
import time
from pathlib import Path

import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.policies.console import team

sys.path.insert(0, str(Path(__file__).parent))
from browser import NEEDED, chromium
from desk import TOKEN, serving
from team import Puppet, table

pytestmark = [pytest.mark.system, pytest.mark.quiet, NEEDED]
READY = "window.consoleState && consoleState.picture && document.querySelector('.card')"
PAGES = ("fleet", "team", "faults", "runs")


def words(page):
    """State word of every card, by robot, as it is to be read."""
    return page.js(
        "Object.fromEntries([...document.querySelectorAll('.card')]"
        ".map(c => [c.dataset.robot, c.querySelector('.word').textContent]))"
    )


def text(page, selector):
    return page.js(f"document.querySelector('{selector}').textContent")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as open_page:
        yield open_page


@pytest.fixture
def shown(browser, tmp_path):
    """A page of four puppets, whose operator has the token."""
    puppet = Puppet()
    with serving(puppet, tmp_path) as (url, desk):
        page = browser()
        page.puppet, page.desk, page.url = puppet, desk, url
        page.go(f"{url}/#token={TOKEN}")
        page.until(READY)
        yield page
        assert not page.problems()


def test_first_paint_and_nothing_from_elsewhere(shown):
    assert text(shown, "#mode") == "HARDWARE"
    assert words(shown) == dict.fromkeys("0123", "HEALTHY")
    assert TOKEN not in shown.js("location.href"), "the token is not left in the address"
    for name in PAGES:
        shown.js(f"location.hash = '{name}'")
        shown.until(f"!document.querySelector('#page-{name}').hidden")
    shown.js("document.querySelector('#theme').click()")
    paint = shown.js("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print(f"first contentful paint {paint:.0f} ms")
    asked = [url for url in shown.requests() if not url.startswith(("data:", "about:"))]
    assert len(asked) > 10 and all(url.startswith(shown.url) for url in asked), asked


def test_who_is_in_trouble_comes_first_and_stays(shown):
    puppet = shown.puppet
    puppet.says([0, 1, 3], seconds=2.0)
    shown.until("document.querySelector('.card').dataset.robot === '2'")
    assert words(shown)["2"] == "LOST"
    assert "last seen 2" in text(shown, ".card .age")
    puppet.team.on_table(table([int(HealthState.QUARANTINED), 0, 0, 0]), puppet.now)
    puppet.says([0, 1, 3], seconds=60.0)
    puppet.team.on_table(table([int(HealthState.QUARANTINED), 0, 0, 0], seq=2), puppet.now)
    puppet.draw()
    shown.until("document.querySelectorAll('.card').length === 4")
    shown.until("document.querySelector('[data-robot=\"0\"]').dataset.state === 'QUARANTINED'")
    assert list(words(shown))[:2], words(shown)
    shown.until("document.querySelector('[data-robot=\"2\"] .age').textContent.includes('62')")


def test_two_presses_of_space_stop_and_the_page_counts(shown):
    shown.js("document.querySelector('nav a').focus()")
    shown.key(" ", "Space")
    shown.until("document.querySelector('#stop').classList.contains('armed')")
    assert text(shown, "#stop-word") == "PRESS AGAIN" and shown.puppet.stops == 0
    shown.key("Escape")
    shown.until("!document.querySelector('#stop').classList.contains('armed')")
    shown.key(" ", "Space")
    assert shown.puppet.stops == 0, "taken back, so that one counts as the first again"
    shown.key(" ", "Space")
    shown.until("document.querySelector('#stop-count')")
    shown.until("document.querySelector('#stop-count').textContent.includes('ALL 4 ROBOTS')")
    assert shown.puppet.stops == 1


def test_a_first_press_is_forgotten_after_a_while(shown):
    shown.js("document.querySelector('#stop').click()")
    shown.until("document.querySelector('#stop').classList.contains('armed')")
    shown.until("!document.querySelector('#stop').classList.contains('armed')")
    assert shown.puppet.stops == 0


def test_silence_is_not_health_and_stop_works_without_telemetry(shown):
    shown.until("!document.querySelector('#alert').hidden")
    shown.until("document.querySelector('.card').dataset.state === 'UNKNOWN'")
    assert set(words(shown).values()) == {"UNKNOWN"}
    assert "Telemetry is lost" in text(shown, "#alert")
    for _ in range(2):
        shown.js("document.querySelector('#stop').click()")
    shown.until("document.querySelector('#stop-count')?.textContent.includes('4')")
    assert shown.puppet.stops == 1
    shown.puppet.says(range(4))
    shown.until("document.querySelector('.card').dataset.state === 'HEALTHY'")
    shown.until("document.querySelector('#alert').hidden")


def test_everything_by_keyboard(shown):
    for key, name in (("t", "team"), ("a", "faults"), ("r", "runs"), ("f", "fleet")):
        shown.key(key)
        shown.until(f"!document.querySelector('#page-{name}').hidden")
    shown.key("3")
    shown.until(
        "document.querySelector('[data-robot=\"2\"]').getAttribute('aria-pressed')==='true'"
    )
    shown.key("0")
    shown.until("!document.querySelector('[aria-pressed=true].card')")
    seen = set()
    for _ in range(40):
        shown.key("Tab")
        seen.add(
            shown.js(
                "(e => e.id || e.dataset.robot || e.getAttribute('href'))(document.activeElement)"
            )
        )
        outline = shown.js("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or shown.js("document.activeElement === document.body")
    wanted = {"stop", "theme", "#team", "#faults", "#runs", "0", "1", "2", "3", "scrub", "play"}
    assert wanted <= seen, wanted - seen
    shown.js("document.querySelector('[data-robot=\"1\"]').focus()")
    shown.key("Enter")
    shown.until("consoleState.selected === 1")
    shown.key("t")
    shown.until("!document.querySelector('#page-team').hidden")
    shown.js("document.querySelector('#matrix').focus()")
    shown.key("ArrowRight")
    shown.until("document.querySelector('#cell').textContent.startsWith('Robot 0')")
    shown.key("ArrowRight")
    shown.until("document.querySelector('#cell').textContent.includes('attends to 1')")
    assert "25.0 %" in text(shown, "#cell") and "weight 1.00" in text(shown, "#cell")


def test_looking_back_and_coming_back(shown):
    puppet = shown.puppet
    puppet.says([0, 1, 3], seconds=2.0)
    shown.until("document.querySelector('[data-robot=\"2\"]').dataset.state === 'LOST'")
    shown.js("(s => { s.value = 0; s.oninput() })(document.querySelector('#scrub'))")
    shown.until("document.querySelector('[data-robot=\"2\"]').dataset.state === 'HEALTHY'")
    assert "looking back" in text(shown, "#mode-text")
    puppet.says([0, 1, 3])
    time.sleep(0.3)
    assert words(shown)["2"] == "HEALTHY", "what is looked at stands still"
    shown.key("End")
    shown.until("document.querySelector('[data-robot=\"2\"]').dataset.state === 'LOST'")


def test_a_plan_is_tried_dry_and_then_injected(shown):
    shown.key("a")
    shown.until("document.querySelector('#plan tbody tr')")
    assert shown.js("document.querySelector('#plan-go').disabled")
    shown.js("document.querySelector('#plan-dry').click()")
    shown.until("document.querySelector('#plan .yes')")
    assert not shown.puppet.injected
    shown.until("!document.querySelector('#plan-go').disabled")
    shown.js("document.querySelector('#plan-go').click()")
    shown.until("document.querySelector('#plan-go').classList.contains('armed')")
    assert not shown.puppet.injected
    shown.js("document.querySelector('#plan-go').click()")
    for _ in range(200):
        if shown.puppet.injected:
            break
        time.sleep(0.05)
    assert [fault.robot for fault in shown.puppet.injected] == [0]


def test_an_order_that_is_refused_is_shown_as_that(shown):
    puppet = shown.puppet
    puppet.team.on_refusals("robot_1", 0, puppet.now)
    puppet.team.on_fault("spoof", 1, 20.0, puppet.now)
    puppet.team.on_fault("delay", 2, 20.0, puppet.now)
    puppet.says(range(4))
    shown.key("a")
    shown.until("document.querySelector('#entries').textContent.includes('spoof injected')")
    puppet.team.on_refusals("robot_1", 1, puppet.now + 0.5)
    puppet.says(range(4), seconds=3.0)
    shown.until("document.querySelector('#entries').textContent.includes('spoof refused by')")
    told = text(shown, "#entries")
    assert "spoof injected" not in told and "delay injected into robot 2" in told
    faults = "Object.fromEntries(consoleState.picture.robots.map(r => [r.id, r.faults]))"
    assert shown.js(faults) == {"0": [], "1": [], "2": ["delay"], "3": []}


def test_a_bundle_shows_who_signed_it_and_its_parity(shown, coverage_bundle):
    told = open_bundle(coverage_bundle)
    assert 0.0 < told.parity < 1e-5
    shown.puppet.says(range(4), bundle=told.short_digest)
    badge = "[...document.querySelectorAll('#facts .badge')].map(b => b.textContent)"
    shown.until(f"{badge}.some(text => text.startsWith('parity '))")
    assert shown.js(f"{badge}.includes('not signed')")
    shown.key("r")
    shown.until("document.querySelector('#bundles tbody tr')")
    row = "document.querySelector('#bundles tbody').textContent"
    assert shown.js(f"{row}.includes('parity {told.parity:.0e}')".replace("e-0", "e-"))


def test_a_plan_file_is_opened_and_tried_dry(shown):
    plan = (
        "name: two\nrobots: 4\nfaults:\n"
        "  - {unit: agent, type: off, target: 2, at_s: 3, duration_s: 4}\n"
        "  - {unit: link, type: wrong, target: 1, at_s: 9, duration_s: 4}\n"
    )
    shown.key("a")
    shown.until("document.querySelector('#plan tbody tr')")
    opened = (
        "(files => { files.items.add(new File([%s], 'two.yaml')); const box ="
        " document.querySelector('#plan-file'); box.files = files.files;"
        " box.dispatchEvent(new Event('change')); })(new DataTransfer())"
    )
    shown.js(opened % json.dumps(plan))
    shown.until("document.querySelectorAll('#plan tbody tr').length === 2")
    assert "2 faults of 4 robots" in text(shown, "#plan-said")
    shown.js("document.querySelector('#plan-dry').click()")
    shown.until("document.querySelectorAll('#plan .yes').length === 2")
    assert not shown.puppet.injected


def test_without_the_token_it_says_so_and_cannot_act(browser, tmp_path):
    puppet = Puppet()
    with serving(puppet, tmp_path) as (url, _):
        page = browser()
        page.js("0")
        page.go(url)
        page.until(READY)
        page.js("sessionStorage.clear()")
        page.go(f"{url}/?again")
        page.until(READY)
        for _ in range(3):
            page.js("document.querySelector('#stop').click()")
        page.until("document.querySelector('#ask').open")
        assert puppet.stops == 0
        page.js("document.querySelector('#token').value = 'wrong-wrong-wrong'")
        page.js("document.querySelector('#ask button').click()")
        page.until("consoleState.token === 'wrong-wrong-wrong'")
        for _ in range(2):
            page.js("document.querySelector('#stop').click()")
        page.until("consoleState.token === null")
        page.until("document.querySelector('#stop-panel').textContent.includes('token')")
        assert puppet.stops == 0


def test_a_console_that_died_is_not_taken_for_a_quiet_one(browser, tmp_path):
    puppet = Puppet()
    page = browser()
    with serving(puppet, tmp_path) as (url, _):
        page.go(f"{url}/#token={TOKEN}")
        page.until(READY)
    page.until("document.querySelector('#alert').textContent.includes('does not answer')")
    page.until("document.querySelector('.card').dataset.state === 'UNKNOWN'")
    assert set(words(page).values()) == {"UNKNOWN"}


def test_fifty_robots(browser, tmp_path):
    """What a frame costs is said, not judged: it tells how busy the machine is."""
    source = team("coverage", 50, allow_faults=True)
    with serving(source, tmp_path) as (url, _):
        page = browser()
        page.go(f"{url}/#token={TOKEN}")
        page.until("window.consoleState?.picture?.robots.length === 50", 120)
        source.inject(FaultSpec("crash", 7))
        page.until("document.querySelector('.card').dataset.robot === '7'", 60)
        page.until("document.querySelectorAll('.card').length === 50")
        for name in PAGES[:3]:
            page.js(f"location.hash = '{name}'; consoleState.frames.length = 0")
            page.until("consoleState.frames.length > 20", 60)
            frames = sorted(page.js("consoleState.frames"))
            middle, worst = frames[len(frames) // 2], frames[-1]
            print(f"{name}: a frame of 50 robots takes {middle:.1f} ms, {worst:.1f} ms at most")
        masked = page.js("consoleState.picture.weights.filter(row => row && row[7] < 0.05).length")
        assert masked == 49
        assert not page.problems()


def test_in_space_the_view_turns_by_hand_and_by_keys(shown):
    def drawn():
        """Places of the robots on the map, as seen from that of robot 0, in whole pixels."""
        places = {robot: (x, y) for x, y, robot in shown.js("consoleState.drawn")}
        return tuple(round(places[k][i] - places[0][i]) for k in (1, 2, 3) for i in (0, 1))

    above = drawn()
    shown.js("document.querySelector('#show-space').click()")
    seen = [above, drawn()]
    shown.js("document.querySelector('#map').focus()")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        shown.key(key)
        seen.append(drawn())
    for kind, x, y in (("Pressed", 500, 400), ("Moved", 600, 430), ("Released", 600, 430)):
        shown.call(
            "Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, button="left", clickCount=1
        )
    seen.append(drawn())
    assert len(set(seen)) == len(seen)
    assert shown.js("consoleState.selected") is None, "turning is not choosing"
    shown.js("document.querySelector('#show-space').click()")
    assert drawn() == above


@pytest.mark.parametrize("size", [(1440, 900), (820, 1180)])
def test_nothing_runs_out_of_the_window(shown, size):
    shown.size(*size)
    for name in PAGES:
        shown.js(f"location.hash = '{name}'")
        shown.until(f"!document.querySelector('#page-{name}').hidden")
        time.sleep(0.3)
        assert shown.js("document.documentElement.scrollWidth <= innerWidth"), name
        stop = shown.js(
            "(b => ({x: b.right, y: b.bottom, h: b.height}))"
            "(document.querySelector('#stop').getBoundingClientRect())"
        )
        assert stop["x"] <= size[0] and stop["y"] < 200 and stop["h"] >= 44


def test_every_state_has_a_shape_of_its_own(shown):
    shapes = shown.js(
        "import('/assets/draw.js').then(d => Object.entries(d.STATES)"
        ".map(([name, s]) => [name, s.path + s.fill + (s.dash || '')]))"
    )
    names = [name for name, _ in shapes]
    assert {state.name for state in HealthState} <= set(names)
    assert len({shape for _, shape in shapes}) == len(shapes), "told apart without colour"
