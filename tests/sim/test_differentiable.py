"""The torch form is the twin, and its gradients are the twin's slopes."""

import numpy as np
import pytest
import torch

from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.differentiable import DifferentiableBodies
from swarmhold.sim.robots import DriveModel, model_of

CASES = [("epuck", False, 2), ("crazyflie", False, 2), ("crazyflie", True, 4)]


def twin(robot, rotors, state, commands, factors, compiled):
    """(B, 17) after commands (K, B, C), ten steps each."""
    blocks = Blocks(model_of(robot), len(state), 1, np.float64, rotors, compiled)
    blocks.put(0, state[:, None])
    for row, value in factors.items():
        blocks.put(row, value[:, None])
    for command in commands:
        blocks.put(Row.COMMAND, command[:, None])
        blocks.advance(10)
    return blocks.get(0, STATE)[:, 0]


def case(robot, rotors, size, bodies=8):
    rng = np.random.default_rng(3)
    model = model_of(robot)
    start = Blocks(model, bodies, 1, compiled=False).get(0, STATE)[:, 0]
    start[:, 2] = model.height
    start[:, :2] = rng.uniform(-1, 1, (bodies, 2))
    commands = rng.uniform(-0.1, 0.1, (3, bodies, size))
    motors = 2 if isinstance(model, DriveModel) else 4
    if rotors:
        commands = 0.07 + 0.2 * commands
    factors = {Row.GAIN: np.ones((bodies, 4)), Row.MASS: rng.uniform(0.9, 1.1, (bodies, 1))}
    factors[Row.GAIN][:, :motors] = rng.uniform(0.6, 1.0, (bodies, motors))
    if not isinstance(model, DriveModel):
        factors[Row.WIND] = rng.uniform(-2, 2, (bodies, 3))
    return start, commands, factors


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("robot", "rotors", "size"), CASES)
def test_values_are_the_twins(robot, rotors, size, compiled):
    start, commands, factors = case(robot, rotors, size)
    bodies = DifferentiableBodies(model_of(robot), rotors)
    motors = 2 if robot == "epuck" else 4
    given = {row: torch.from_numpy(value) for row, value in factors.items()}
    given[Row.GAIN] = given[Row.GAIN][:, :motors]
    state = torch.from_numpy(start)
    for command in commands:
        state = bodies.advance(state, torch.from_numpy(command), 10, given)
    expected = twin(robot, rotors, start, commands, factors, compiled)
    used = slice(0, 13) if robot == "epuck" else slice(0, 17)
    assert np.abs(state.numpy() - expected)[:, used].max() < 1e-10
    assert np.abs(expected - start).max() > 0.01


@pytest.mark.parametrize(("robot", "rotors", "size"), CASES)
def test_gradients_are_the_twins_slopes(robot, rotors, size):
    start, commands, factors = case(robot, rotors, size, bodies=1)
    factors = {row: value for row, value in factors.items() if row != Row.MASS}
    bodies = DifferentiableBodies(model_of(robot), rotors)
    motors = 2 if robot == "epuck" else 4
    given = {row: torch.from_numpy(value) for row, value in factors.items()}
    given[Row.GAIN] = given[Row.GAIN][:, :motors]
    wish = torch.from_numpy(commands).requires_grad_()
    state = torch.from_numpy(start)
    for command in wish:
        state = bodies.advance(state, command, 10, given)
    state[0, :2].sum().backward()
    step = 1e-6
    for index in np.ndindex(commands.shape):
        ends = []
        for sign in (-1, 1):
            moved = commands.copy()
            moved[index] += sign * step
            ends.append(twin(robot, rotors, start, moved, factors, False)[0, :2].sum())
        slope = (ends[1] - ends[0]) / (2 * step)
        assert wish.grad[index] == pytest.approx(slope, abs=1e-5, rel=1e-4)
    assert wish.grad.abs().max() > 1e-3
