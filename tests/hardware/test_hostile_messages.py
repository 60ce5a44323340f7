"""Anything on every topic: nothing is raised but what drops the message, nothing unsafe is done."""

import json
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from swarmhold.hardware import wire
from swarmhold.hardware.beliefs import FORGOTTEN_S, Beliefs
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.console.picture import TeamPicture
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.fleet_watch import FleetWatch
from swarmhold.hardware.injection.injector import Injector
from swarmhold.hardware.messages import EVERYBODY, WORD, HealthTable, Mode, RobotState, Task
from swarmhold.hardware.office import OfficeConfig, hear, office_init, office_step, supersedes
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.supervisor import supervisor_init, supervisor_step, to_table

N, DT = 4, 0.05
TASK = Task((), (0.0, 0.0, 0.0), 1.0)
SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

single = st.floats(width=32) | st.floats(-1.0, 1.0, width=32)
double = st.floats() | st.floats(-1.0, 1.0)
byte, word = st.integers(0, 255), st.integers(0, WORD - 1)
header = st.builds(
    SimpleNamespace,
    stamp=st.builds(SimpleNamespace, sec=st.integers(-(2**31), 2**31 - 1), nanosec=word),
)


def some(values, most=64):
    return st.lists(values, max_size=most)


def triples(values, most):
    """Mostly in threes, as they should be."""
    return some(values, most) | some(st.tuples(*[values] * 3), most // 3).map(
        lambda rows: [value for row in rows for value in row]
    )


def three(values):
    return st.lists(values, min_size=3, max_size=3).map(np.array)


state_messages = st.builds(
    SimpleNamespace,
    header=header, robot=st.integers(0, N) | byte, recipient=st.just(EVERYBODY) | byte,
    boot_id=st.integers(0, 2) | word, seq=word, control_seq=word, position=three(double),
    velocity=three(single), yaw=single, yaw_rate=single, battery=single, mode=byte,
    bundle=st.integers(0, 2**64 - 1), accusations=some(st.integers(0, 2**16 - 1), N) | some(byte),
)  # fmt: skip
frame_messages = st.builds(
    SimpleNamespace,
    header=header, position=three(double), velocity=three(single), yaw=single, yaw_rate=single,
    battery=single, sighted=some(byte, 3), sightings=triples(single, 9), bodies=triples(single, 12),
    stopped=st.booleans(),
)  # fmt: skip
table_messages = st.integers(0, N + 1).flatmap(
    lambda n: st.builds(
        SimpleNamespace,
        header=header, term=word, seq=word, issuer=st.text(max_size=64), lease_s=single,
        weights=st.lists(single, min_size=n, max_size=n) | some(single),
        states=st.lists(byte, min_size=n, max_size=n), reasons=st.lists(
            st.integers(0, 2**16 - 1), min_size=n, max_size=n
        ),
    )
)  # fmt: skip


def table_of_term(term):
    """A message of a table about nobody."""
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0)), term=term, seq=0,
        issuer="", lease_s=0.0, weights=[], states=[], reasons=[],
    )  # fmt: skip


task_messages = st.builds(
    SimpleNamespace,
    header=header, scenario=st.text(max_size=64), landmarks=triples(double, 12),
    owners=some(st.integers(-128, 127), 4), posts=triples(double, 12),
    home=three(double) | st.just(np.zeros(3)), half_width=double | st.just(1.0),
)  # fmt: skip
fault_messages = st.builds(
    SimpleNamespace,
    kind=st.sampled_from(["spoof", "partition", "drop", "delay", "crash", "motor_off"])
    | st.text(max_size=32),
    robot=byte, duration_s=single, severity=single, seed=word,
)  # fmt: skip


status_messages = st.integers(0, N + 1).flatmap(
    lambda n: st.builds(
        SimpleNamespace,
        header=header, robot=byte, source=byte, mode=byte, limited=byte, missed=word,
        weights=st.lists(single, min_size=n, max_size=n), attention=some(single, N),
        states=st.lists(byte, min_size=n, max_size=n), period_s=single, inference_s=single,
    )
)  # fmt: skip
diagnostics = st.builds(
    SimpleNamespace,
    status=st.lists(
        st.builds(
            SimpleNamespace,
            name=st.text(max_size=5),
            values=st.lists(
                st.builds(
                    SimpleNamespace,
                    key=st.just("reality") | st.text(max_size=5),
                    value=st.sampled_from(["SIM", "HARDWARE"]) | st.text(max_size=5),
                ),
                max_size=2,
            ),
        ),
        max_size=3,
    ),
)


def read(reader, message):
    """The value, or None for a message that is dropped in one line."""
    try:
        return reader(message)
    except (MessageError, ConfigError) as error:
        assert "\n" not in str(error)
        return None


@pytest.fixture(scope="module", params=["rendezvous-epuck", "pursuit-crazyflie"])
def policy(request):
    return OnnxPolicy(open_bundle(request.param))


@SLOW
@given(data=st.data())
def test_the_console_can_draw_whatever_it_hears(data):
    team, now = TeamPicture(N), 10.0
    for _ in range(data.draw(st.integers(1, 6))):
        now += data.draw(st.sampled_from([DT, 0.4, 12.0]))
        with suppress(MessageError, ConfigError):
            state = wire.read_state(data.draw(state_messages))
            team.on_state(state.robot, state, now)
        with suppress(MessageError, ConfigError):
            status = wire.read_status(data.draw(status_messages))
            team.on_status(status.robot, status, now)
        with suppress(MessageError, ConfigError):
            team.on_table(wire.read_table(data.draw(table_messages)), now)
        with suppress(MessageError, ConfigError):
            message = data.draw(task_messages)
            team.on_task(wire.read_task(message), message.scenario)
        with suppress(MessageError, ConfigError):
            fault = wire.read_fault(data.draw(fault_messages))
            team.on_fault(fault.kind, fault.robot, fault.duration_s, now)
        for speaker, reality in wire.read_reality(data.draw(diagnostics)).items():
            team.on_reality(speaker, reality, now)
        picture = team.picture(now)
        assert len(picture["robots"]) == N, "nobody makes a team larger"
        json.dumps([picture, [entry.plain() for entry in team.news()]], allow_nan=False)


@SLOW
@given(data=st.data())
def test_a_robot_acts_within_bounds_whatever_it_hears_and_senses(policy, data):
    robot = RobotController(policy, TASK, ControllerConfig(0, N))
    bound, now = np.asarray(policy.bundle.spec.action_bound), 10.0
    for _ in range(data.draw(st.integers(1, 6))):
        for message in data.draw(st.lists(state_messages, max_size=4)):
            robot.on_state(wire.read_state(message), now)
        table = read(wire.read_table, data.draw(table_messages))
        if table is not None:
            robot.on_table(table, now)
        task = read(wire.read_task, data.draw(task_messages))
        if task is not None:
            robot.on_task(task)
        robot.team_complete(now)
        frame = read(wire.read_frame, data.draw(frame_messages))
        now += data.draw(st.sampled_from([DT, DT, 0.4, 12.0]))
        if frame is None:
            continue
        tick = robot.tick(frame, now)
        action = np.array(tick.command.action)
        assert np.isfinite(action).all() and (np.abs(action) <= bound + 1e-6).all()
        weights = np.array(tick.status.weights)
        assert ((weights >= 0.0) & (weights <= 1.0)).all() and weights[0] == 1.0
        if not np.isfinite([*frame.position, frame.yaw]).all():
            assert not action.any(), "who does not know where it is stands still"


@SLOW
@given(data=st.data())
def test_the_supervisor_judges_whatever_it_hears(policy, data):
    settings_, now = policy.bundle.health, 10.0
    beliefs, watch = Beliefs(N, policy.bundle.short_digest), FleetWatch(policy, TASK, N)
    state, weights = supervisor_init(settings_, (), N), np.ones(N)
    for _ in range(data.draw(st.integers(1, 6))):
        for message in data.draw(st.lists(state_messages, max_size=6)):
            beliefs.hear(wire.read_state(message), now)
        task = read(wire.read_task, data.draw(task_messages))
        if task is not None:
            watch.on_task(task)
        now += data.draw(st.sampled_from([DT, DT, 0.4, 12.0]))
        state, verdict = supervisor_step(
            settings_, state, beliefs.evidence(np.full((N, 3), np.nan), now), beliefs.accusations,
            np.zeros(N, bool), now, watch.look(beliefs, weights, now),
        )  # fmt: skip
        weights = verdict.weights
        assert ((weights >= 0.0) & (weights <= 1.0)).all()
        table = to_table(verdict, settings_, 1, 1, 0.0, "supervisor")
        assert wire.read_table(
            SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0)), **{
                name: getattr(table, name)
                for name in ("term", "seq", "issuer", "lease_s", "weights", "states", "reasons")
            })
        ) == table  # fmt: skip


def spoken(config, state):
    """What a speaking supervisor says."""
    return HealthTable(0.0, state.term, 1, config.issuer, 1.0, (1.0,) * N, (0,) * N, (0,) * N)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), table_messages), max_size=12))
@example([(0.0, table_of_term(2**31))])
@example([(0.0, table_of_term(2**31 + 2)), (0.0, table_of_term(5))])
@settings(max_examples=80, deadline=None)
def test_no_table_ends_the_succession(messages):
    """A supervisor that hears anything speaks again after it, and robots follow it."""
    config, now, held = OfficeConfig("supervisor"), 100.0, None
    state = office_init(now)
    for wait, message in messages:
        now += wait
        state = office_step(config, state, now)
        if state.speaks and supersedes(spoken(config, state), held, 0.0):
            held = spoken(config, state)
        table = read(wire.read_table, message)
        if table is not None:
            state = hear(config, state, table, now)
            held = table if supersedes(table, held, 0.0) else held
    for _ in range(100):
        now += DT
        state = office_step(config, state, now)
    assert state.speaks and 0 <= state.term < WORD
    if held is not None and held.issuer != config.issuer:
        assert supersedes(spoken(config, state), held, 0.0)


@SLOW
@given(data=st.data())
def test_fault_commands_of_any_kind_leave_the_injector_whole(data):
    injector, now = Injector(policy_spec("epuck"), 0, N, 1.0), 1.0
    for message in data.draw(st.lists(fault_messages, max_size=8)):
        try:
            injector.add(wire.read_fault(message), now)
        except ConfigError as error:
            assert "\n" not in str(error)
        now += DT
        for sender in (None, 1, data.draw(byte)):
            assert injector.hears(sender, now) in (True, False)
        injector.acts(now)


def state(seq, boot=7, robot=1):
    return RobotState(
        robot, EVERYBODY, boot, seq, seq, 0.0, (0.0,) * 3, (0.0,) * 3, 0.0, 0.0, 1.0, 0, 0, b""
    )


def test_a_forged_last_sequence_does_not_silence_a_robot_for_ever():
    beliefs, now = Beliefs(N), 10.0
    beliefs.hear(state(5), now)
    beliefs.hear(state(5 + WORD // 2 - 1), now)
    for step in range(1, 12):
        beliefs.hear(state(5 + step), now + step)
        assert (beliefs.age(now + step)[1] == 0.0) == (step > FORGOTTEN_S)


def test_sequences_wrap():
    beliefs = Beliefs(N)
    for step, seq in enumerate((WORD - 2, WORD - 1, 0, 1)):
        beliefs.hear(state(seq), 10.0 + step)
        assert beliefs.age(10.0 + step)[1] == 0.0
    beliefs.hear(state(WORD - 1), 14.0)
    assert beliefs.age(14.0)[1] == 1.0, "one from before comes too late"


def test_the_fence_is_not_moved_in_flight(rendezvous_bundle):
    """A forged task may send a robot anywhere within its fence, and nowhere else."""
    policy = OnnxPolicy(open_bundle(rendezvous_bundle))
    robot = RobotController(policy, TASK, ControllerConfig(0, 1))
    robot.on_task(Task(((50.0, 0.0, 1.0),), (50.0, 0.0, 0.0), 100.0))
    outside = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0)),
        position=np.array([0.999, 0.0, 0.0]), velocity=np.zeros(3), yaw=0.0, yaw_rate=0.0,
        battery=1.0, sighted=[], sightings=[], bodies=[], stopped=False,
    )  # fmt: skip
    frame, now = wire.read_frame(outside), 1.0
    for _ in range(20):
        now += DT
        tick = robot.tick(frame, now)
        assert tick.command.mode == Mode.ACTIVE and tick.command.action[0] <= 1e-6
