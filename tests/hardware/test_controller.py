"""Whole robots in one process: controllers over loopback drivers, simulated time."""

from dataclasses import replace

import numpy as np
import pytest

from swarmhold.hardware.beliefs import Beliefs
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.drivers.loopback import LoopbackDriver, LoopbackWorld
from swarmhold.hardware.drivers.protocol import Injected
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet_watch import FleetWatch
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.injection.injector import Injector
from swarmhold.hardware.messages import HealthTable, Mode, Task
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.supervisor_controller import SupervisorController

TASK = Task((), (0.0, 0.0, 0.0), 1.0)
DT = 0.05


class Team:
    """N robots that exchange messages with one tick of delay."""

    def __init__(self, policy, n, seed=0):
        rng = np.random.default_rng(seed)
        place = np.concatenate([rng.uniform(-0.5, 0.5, (n, 2)), np.zeros((n, 1))], axis=1)
        self.policy, self.n = policy, n
        self.world = LoopbackWorld(policy_spec("epuck"), place, rng.uniform(-3, 3, n))
        self.drivers = [LoopbackDriver(self.world, i) for i in range(n)]
        for driver in self.drivers:
            driver.connect()
        self.robots = [self.boot(i, boot_id=i + 1) for i in range(n)]
        self.injectors = [Injector(policy.bundle.spec, i, n, 1.0) for i in range(n)]
        self.down: set[int] = set()
        self.status = [None] * n
        self.time, self.listen = 10.0, None

    def boot(self, i, boot_id):
        return RobotController(self.policy, TASK, ControllerConfig(i, self.n, boot_id=boot_id))

    def run(self, seconds, tables=()):
        for _ in range(round(seconds / DT)):
            sent = []
            for i in range(self.n):
                if i in self.down:
                    self.drivers[i].hold()
                    continue
                frame = self.drivers[i].read()
                tick = self.robots[i].tick(self.injectors[i].sense(frame, self.time), self.time)
                tick, states = self.injectors[i].apply(tick, frame, self.time)
                self.drivers[i].command(self.robots[i].guarded(frame, tick.command))
                self.status[i] = tick.status
                sent += states
            if self.listen is not None:
                self.listen(sent, self.time)
            for state in sent:
                for i in range(self.n):
                    if i not in self.down and self.injectors[i].hears(state.robot, self.time):
                        self.robots[i].on_state(state, self.time + 0.01)
            for table in tables:
                for robot in self.robots:
                    robot.on_table(table, self.time + 0.01)
            self.world.advance(DT)
            self.time += DT

    def weight(self, of):
        """What each running robot gives to robot `of`."""
        return [self.status[i].weights[of] for i in range(self.n) if i not in self.down and i != of]

    def spread(self, robots):
        place = self.world.position[robots, :2]
        return np.linalg.norm(place[:, None] - place[None], axis=-1).mean()


@pytest.fixture(scope="module")
def policy(rendezvous_bundle):
    return OnnxPolicy(open_bundle(rendezvous_bundle))


def test_a_healthy_team_meets_and_trusts_everybody(policy):
    team = Team(policy, 5)
    before = team.spread(range(5))
    team.run(12.0)
    assert team.spread(range(5)) < min(0.2, 0.4 * before)
    assert all(w == 1.0 for i in range(5) for w in team.weight(i))


def test_a_dead_robot_is_masked_by_everybody_without_a_supervisor(policy):
    team = Team(policy, 5)
    team.run(2.0)
    team.down.add(3)
    team.run(0.45)
    assert team.weight(3) == [0.0] * 4
    assert all(status.source == 0 for i, status in enumerate(team.status) if i != 3)


def test_a_robot_that_comes_back_is_trusted_again_but_slowly(policy):
    team = Team(policy, 5)
    team.run(1.0)
    team.down.add(3)
    team.run(5.0)
    team.down.clear()
    team.robots[3] = team.boot(3, boot_id=99)
    team.run(1.0)
    assert max(team.weight(3)) < 0.5
    team.run(20.0)
    assert min(team.weight(3)) == 1.0


def test_per_receiver_lies_are_masked_by_everybody(policy):
    team = Team(policy, 6)
    team.run(1.0)
    team.injectors[2].add(FaultSpec("spoof", 2, seed=1), team.time)
    team.run(1.0)
    assert max(team.weight(2)) == 0.0
    assert min(w for i in (0, 1, 3, 4, 5) for w in team.weight(i) if i != 2) >= 0.0
    honest = [team.status[i].weights[j] for i in (0, 1, 3) for j in (0, 1, 3, 4, 5) if i != j]
    assert min(honest) == 1.0


def test_garbage_is_masked_and_never_reaches_the_motors(policy):
    team = Team(policy, 4)
    team.run(1.0)
    team.injectors[1].add(FaultSpec("nan", 1), team.time)
    team.run(1.0)
    assert team.weight(1) == [0.0] * 3
    assert np.isfinite(team.world.setpoint).all() and np.isfinite(team.world.position).all()


@pytest.mark.parametrize("kind", ["runaway", "slow", None])
def test_a_supervisor_that_knows_the_policy_finds_who_acts_on_another(policy, kind):
    """Safety filters hold robots back near each other, and nobody is blamed for that."""
    odd = NormalityConfig(slack=0.2, limit_s=1.0, stall_s=5.0)
    health = replace(policy.bundle.health, normality=odd)
    watch = FleetWatch(OnnxPolicy(replace(policy.bundle, health=health)), TASK, 5)
    beliefs, accused = Beliefs(5), []

    def listen(states, now):
        for state in states:
            beliefs.hear(state, now)
        accused.append(watch.look(beliefs, np.ones(5), now))

    team = Team(policy, 5)
    team.listen = listen
    if kind:
        team.injectors[1].add(FaultSpec(kind, 1, start_s=0.5, seed=5), team.time)
    team.run(15.0)
    found = np.any(accused, axis=0)
    assert found.tolist() == [False, kind == "runaway", False, False, False]
    assert watch.departure.shape == (5,)


def table(weights, term=1, seq=1):
    n = len(weights)
    return HealthTable(0.0, term, seq, "test", 1.0, tuple(weights), (0,) * n, (0,) * n)


def test_the_supervisor_can_lower_and_its_death_changes_only_the_source(policy):
    team = Team(policy, 4)
    team.run(1.0)
    for seq in range(1, 20):
        team.run(DT, tables=[table([1, 1, 0, 1], seq=seq)])
    assert team.weight(2) == [0.0] * 3 and team.status[0].source == 1
    team.run(30.0)
    assert team.status[0].source == 0
    assert min(team.weight(2)) > 0.9


def test_a_supervisor_that_condemns_most_without_cause_is_not_believed(policy):
    team = Team(policy, 5)
    team.run(1.0)
    for seq in range(1, 20):
        team.run(DT, tables=[table([0, 0, 0, 0, 0], seq=seq)])
    assert all(w == 1.0 for robot in range(5) for w in team.weight(robot))
    for seq in range(20, 40):
        team.run(DT, tables=[table([0, 0, 1, 1, 1], seq=seq)])
    assert team.weight(0) == team.weight(1) == [0.0] * 4, "two of five are within its authority"


def test_replayed_and_older_tables_are_dropped(policy):
    team = Team(policy, 3)
    team.run(0.5)
    team.run(DT, tables=[table([1, 0, 1], term=2, seq=5)])
    team.run(DT, tables=[table([1, 1, 1], term=2, seq=5), table([1, 1, 1], term=1, seq=99)])
    team.run(DT)
    assert team.status[0].weights[1] == 0.0


@pytest.mark.parametrize("bad", [[1.0, np.nan, 1.0], [1.0, -3.0, 7.0], [1.0, 1.0]])
def test_senseless_tables_do_no_harm(policy, bad):
    team = Team(policy, 3)
    team.run(1.0, tables=[table(bad, term=9, seq=9)])
    assert all(0.0 <= w <= 1.0 for i in range(3) for w in team.status[i].weights)


def test_messages_for_others_and_from_strangers_are_ignored(policy):
    team = Team(policy, 3)
    team.run(1.0)
    frame = team.drivers[1].read()
    state = team.robots[1].tick(frame, team.time).state
    for strange in (
        replace(state, recipient=2, position=(9.0, 9.0, 0.0)),
        replace(state, robot=77),
        replace(state, accusations=b"\xff"),
    ):
        team.robots[0].on_state(strange, team.time)
    team.run(0.5)
    assert all(w == 1.0 for i in range(3) for w in team.weight(i))


def test_a_robot_whose_team_is_all_gone_holds(policy):
    team = Team(policy, 3)
    team.run(1.0)
    team.down.update({1, 2})
    team.run(6.0)
    assert team.status[0].mode == Mode.HOLD
    assert (team.world.setpoint[0] == 0.0).all()


def test_estop_is_latched(policy):
    team = Team(policy, 2)
    team.run(0.5)
    team.robots[0].on_estop()
    team.run(2.0)
    assert team.status[0].mode == Mode.STOP and (team.world.setpoint[0] == 0.0).all()


def test_who_says_that_it_is_stopped_counts_for_nothing_until_it_starts_anew(policy):
    team, said = Team(policy, 4), []
    supervisor = SupervisorController(policy, 4, "test", 0, team.time)

    def listen(states, now):
        for state in states:
            supervisor.on_state(state, now)
        said.append(supervisor.tick(now, now))

    team.listen = listen
    team.run(4.0)
    assert said[-1].weights == (1.0,) * 4 and team.weight(2) == [1.0] * 3
    team.robots[2].on_estop()
    team.run(0.2)
    assert team.weight(2) == [0.0] * 3 and said[-1].weights == (1.0, 1.0, 0.0, 1.0)
    assert said[-1].states[2] == HealthState.ESTOPPED
    assert [team.status[i].mode for i in range(4)] == [Mode.ACTIVE, Mode.ACTIVE, Mode.STOP, 0]
    team.robots[2] = team.boot(2, boot_id=99)
    team.run(0.5)
    assert said[-1].states[2] == HealthState.PROBATION and max(team.weight(2)) < 0.2
    team.run(12.0)
    assert said[-1].weights == (1.0,) * 4 and team.weight(2) == [1.0] * 3


def test_without_reweighting_all_weights_stay_one(policy):
    team = Team(policy, 3)
    team.robots[0] = RobotController(policy, TASK, ControllerConfig(0, 3, reweight=False))
    team.run(1.0)
    team.down.add(2)
    team.run(3.0)
    assert team.status[0].weights == (1.0, 1.0, 1.0)


def test_wrong_identities_and_rates_are_refused(policy):
    with pytest.raises(ConfigError, match="robot 4 is not in a roster of 4"):
        RobotController(policy, TASK, ControllerConfig(4, 4))
    with pytest.raises(ConfigError, match="no multiple"):
        RobotController(policy, TASK, ControllerConfig(0, 4, loop_hz=25.0))


def test_drivers_say_when_they_are_not_connected(policy):
    team = Team(policy, 2)
    lost = LoopbackDriver(team.world, 0)
    with pytest.raises(NotReadyError, match="connect"):
        lost.read()
    with pytest.raises(NotReadyError, match="not in this world"):
        LoopbackDriver(team.world, 7).connect()
    assert team.drivers[0].inject(FaultSpec("crash", 0)) is Injected.UNSUPPORTED


def test_signals_are_not_injected_into_a_node(policy):
    with pytest.raises(ConfigError, match="signal"):
        Injector(policy.bundle.spec, 0, 3, 1.0).add(FaultSpec("crash", 0), 0.0)


def test_nobody_waits_for_who_is_known_to_be_lost(policy):
    team = Team(policy, 3)
    team.down.add(2)
    team.run(0.2)
    assert not team.robots[0].team_complete(team.time)
    lost = HealthTable(
        0.0, 1, 1, "s", 1.0, (1.0, 1.0, 0.0), (0, 0, int(HealthState.LOST)), (0, 0, 1)
    )
    team.run(0.1, tables=[lost])
    assert team.robots[0].team_complete(team.time)


@pytest.mark.parametrize("kind", ["runaway", "adversary"])
def test_a_policy_gone_wrong_stays_behind_the_safety_filter(policy, kind):
    team = Team(policy, 4)
    team.run(1.0)
    team.injectors[1].add(FaultSpec(kind, 1, seed=3), team.time)
    for _ in range(100):
        team.run(0.2)
        place = team.world.position[:, :2]
        assert np.abs(place).max() <= TASK.half_width
        apart = np.linalg.norm(place[1] - np.delete(place, 1, axis=0), axis=-1)
        assert apart.min() > 2.0 * policy.bundle.spec.radius_m
