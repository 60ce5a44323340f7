"""Recording around events: nothing near one is lost, nothing is there twice, memory is bounded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.messages import HealthTable
from swarmhold.hardware.ring import Around, Ring, Row, fallen

BEFORE, AFTER, MOST = 5.0, 2.0, 400
LATCHED = ("/task",)
# Seconds since the step before; whether something happened; a message's topic and length.
steps = st.lists(
    st.tuples(
        st.floats(0.0, 3.0),
        st.sampled_from([False] * 6 + [True]),
        st.none() | st.tuples(st.sampled_from(["/a", "/task"]), st.integers(0, 60)),
    ),
    max_size=60,
)


def play(told, most):
    """Files, messages and events with their times, and the most bytes that ever waited."""
    ring = Ring(BEFORE, most, LATCHED)
    around, files, messages, events = Around(ring, AFTER), [], [], []
    now, most_bytes, is_open = 100.0, 0, False
    for index, (wait, event, content) in enumerate(told):
        now += wait
        row = Row(content[0], index, bytes(content[1])) if content else None
        kept = around.step(now, row, event)
        if row:
            messages.append((now, row))
        if event:
            events.append(now)
        assert not kept.closes or is_open
        is_open = (is_open and not kept.closes) or kept.opens
        if kept.opens:
            files.append([])
        assert is_open or not kept.rows
        if kept.rows:
            files[-1] += kept.rows
        most_bytes = max(most_bytes, ring.bytes)
    return files, messages, events, most_bytes


@settings(max_examples=300)
@given(steps)
def test_what_is_near_an_event_is_kept_once_and_in_order(told):
    files, messages, events, _ = play(told, 10**9)
    near = [
        row.at_ns
        for at, row in messages
        if any(event - BEFORE <= at <= event + AFTER for event in events)
    ]
    plain = [row.at_ns for file in files for row in file if row.topic == "/a"]
    assert plain == [at for at in near if told[at][2][0] == "/a"]
    for file in files:
        stamps = [row.at_ns for row in file]
        assert stamps == sorted(set(stamps))
        marks = [at for at in stamps if told[at][2][0] == "/task"]
        earlier = [row.at_ns for _, row in messages if row.topic == "/task"]
        began = min((at for at in stamps if told[at][2][0] == "/a"), default=0)
        first = [at for at in earlier if at < began]
        assert not first or marks[0] <= first[-1], "the task that held is in every file"


@settings(max_examples=300)
@given(steps)
def test_memory_is_bounded(told):
    assert play(told, MOST)[3] <= MOST


def test_overlapping_events_are_one_file_and_later_ones_another():
    told = [(1.0, False, ("/a", 1)), (0.0, True, None), (1.5, True, None), (1.5, False, ("/a", 1))]
    assert [len(file) for file in play(told, 10**9)[0]] == [2]
    later = [*told, (9.0, False, ("/a", 1)), (0.1, True, ("/a", 1))]
    assert [len(file) for file in play(later, 10**9)[0]] == [2, 2]


def table(*states):
    n = len(states)
    return HealthTable(0.0, 1, 1, "s", 1.0, (1.0,) * n, states, (0,) * n)


def test_who_falls_is_an_event_once():
    assert fallen(None, table(0, 1, 4)) == []
    assert fallen(table(0, 0, 0), table(2, 0, 3)) == ["robot_0-lost", "robot_2-quarantined"]
    assert fallen(table(2, 0, 3), table(2, 5, 2)) == ["robot_1-estopped"]
    assert fallen(table(4, 0), table(2, 0)) == ["robot_0-lost"]
    assert fallen(table(0), table(2, 99)) == ["robot_0-lost"]
