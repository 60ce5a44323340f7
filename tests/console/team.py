"""Messages of a small team, as it would send them."""

from swarmhold.hardware.console.picture import TeamPicture
from swarmhold.hardware.console.source import NOT_GIVEN
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.messages import (
    EVERYBODY,
    HealthTable,
    Mode,
    PolicyStatus,
    RobotState,
    Task,
)

BUNDLE = 0x0123456789ABCDEF


def state(robot, mode=Mode.ACTIVE, boot=1, x=0.1, bundle=BUNDLE):
    return RobotState(
        *(robot, EVERYBODY, boot, 1, 1, 0.0, (x * robot, 0.2, 0.0), (0.0, 0.0, 0.0)),
        *(0.5, 0.0, 0.9, int(mode), bundle, b""),
    )


def status(robot, n, weights=None, period=0.05):
    weights = weights or (1.0,) * n
    return PolicyStatus(
        *(robot, 0.0, tuple(weights), (1.0 / n,) * n, (0,) * n, 1, 0, period, 0.002, 0, 0)
    )


def table(states, term=1, seq=1, weights=None, reasons=None):
    n = len(states)
    return HealthTable(
        *(0.0, term, seq, "supervisor", 1.0, tuple(weights or (1.0,) * n), tuple(states)),
        tuple(reasons or (0,) * n),
    )


class Puppet:
    """A source whose team says what a test wants; it remembers what it was told to do."""

    def __init__(self, n=4, kinds=tuple(KINDS)):
        self.n, self.kinds = n, kinds
        self.about = {"title": "puppets", "replay": False}
        self.injected, self.stops = [], 0
        self.now = 100.0

    def start(self, hub):
        self.hub, self.team = hub, TeamPicture(self.n, wall_s=1.7e9)
        self.team.on_task(Task(((0.2, 0.3, 1.0),), (0.0, 0.0, 0.0), 1.0), "coverage")
        self.says(range(self.n))

    def says(self, robots, seconds=0.1, **options):
        """These robots speak, and a picture is drawn."""
        self.now += seconds
        for robot in robots:
            self.team.on_state(robot, state(robot, **options), self.now)
            self.team.on_status(robot, status(robot, self.n), self.now)
        self.draw()

    def draw(self):
        picture = self.team.picture(self.now)
        for entry in self.team.news():
            self.hub.happened(entry.plain())
        self.hub.show(picture)

    def stop_all(self):
        self.stops += 1

    def stopped(self):
        if not self.stops:
            return dict(NOT_GIVEN)
        robots = {robot: {"mode": "STOP", "driver": True} for robot in range(self.n)}
        return {**NOT_GIVEN, "given": True, "robots": robots, "confirmed": list(robots)}

    def inject(self, fault):
        if fault.kind not in self.kinds:
            raise ConfigError("not here")
        self.injected.append(fault)

    def close(self):
        pass
