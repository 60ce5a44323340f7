"""Physical models of the robot classes, with the source of each number."""

from __future__ import annotations

from dataclasses import dataclass

from swarmhold.hardware.errors import ConfigError

PHYSICS_HZ = 240.0
GRAVITY = 9.81
SPIN_MAX = 100.0  # rad/s, per axis of the world; also Bullet's cap on speeds, m/s


@dataclass(frozen=True, slots=True)
class DriveModel:
    """Differential drive, e-puck class (Mondada et al., Robotica 2009; wheel figures of MIR3).

    Attributes:
        mass: kg.
        radius: m, of the body.
        height: m, of the body's centre above ground.
        inertia: kg m^2 about the vertical axis (solid cylinder).
        wheel_speed: m/s at full command.
        axle: m between the wheels.
        grip: m/s^2, largest acceleration the tyres can pass on (friction 0.6).
        drive: share of the grip that the motors can use; brakes use all of it (assumed), so
            that a robot that stands is not pushed along.
        peer_range: m, identified range-and-bearing sensing of teammates.
        peer_noise: m, standard deviation of a sighting.
        near_range: m, unidentified proximity sensing.
    """

    mass: float = 0.2
    radius: float = 0.035
    height: float = 0.0275
    inertia: float = 0.5 * 0.2 * 0.035**2
    wheel_speed: float = 0.1507
    axle: float = 0.0569
    grip: float = 0.6 * GRAVITY
    drive: float = 0.7
    peer_range: float = 1.5
    peer_noise: float = 0.005
    near_range: float = 0.3


@dataclass(frozen=True, slots=True)
class QuadModel:
    """Crazyflie 2.x class quadrotor (Foerster, ETH 2015; Luis and Le Ny 2016).

    Attributes:
        mass: kg.
        arm: m, rotor to centre.
        inertia: kg m^2 about body x, y, z.
        drag: 1/s, linear rotor drag along body x, y, z per mass.
        motor_lag: s, first-order thrust response of a rotor.
        swirl: m, reaction torque per thrust of a rotor (about 7.94e-12 / 3.16e-10).
        thrust_max: N, of all rotors.
        torque_max: N m, about body x, y, z.
        radius: m, of the body.
        height: m, flight height that the on-board controller holds.
        tilt_max: rad, limit of the on-board controller.
        peer_range: m, identified sensing of teammates (ultra-wide band class).
        peer_noise: m, standard deviation of a sighting.
        near_range: m, unidentified proximity sensing.
    """

    mass: float = 0.028
    arm: float = 0.046
    inertia: tuple[float, float, float] = (1.66e-5, 1.66e-5, 2.93e-5)
    drag: tuple[float, float, float] = (0.35, 0.35, 0.38)
    motor_lag: float = 0.03
    swirl: float = 0.0251
    thrust_max: float = 0.58
    torque_max: tuple[float, float, float] = (6.0e-3, 6.0e-3, 2.0e-3)
    radius: float = 0.065
    height: float = 1.0
    tilt_max: float = 0.5
    peer_range: float = 6.0
    peer_noise: float = 0.03
    near_range: float = 1.0


Model = DriveModel | QuadModel
# GRITSBot X (Pickem et al., ICRA 2017); mass assumed, sensing as for the e-puck.
GRITSBOT = DriveModel(
    mass=0.3,
    radius=0.0675,
    height=0.06,
    inertia=0.5 * 0.3 * 0.05**2,
    wheel_speed=0.2,
    axle=0.105,
    near_range=0.4,
)
MODELS: dict[str, Model] = {
    "epuck": DriveModel(),
    "crazyflie": QuadModel(),
    "gritsbot": GRITSBOT,
}


def model_of(robot: str) -> Model:
    """The physical model of a robot class.

    Raises:
        ConfigError: the class is unknown.
    """
    if robot not in MODELS:
        raise ConfigError(f"unknown robot class {robot!r}; choose one of: {', '.join(MODELS)}")
    return MODELS[robot]
