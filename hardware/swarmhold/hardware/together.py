"""Ticks of several robots of one process, with one step of the health cores for all of them.

Every robot keeps its own beliefs and its own memory; only the arithmetic is shared. Small arrays
cost as much as large ones, so that eight robots together take little more than one alone. What each
holds of the others is the same to the bit as if it were alone; what the graph decides is the same
but for the last digit of single precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swarmhold.hardware.controller import Question, RobotController, Tick
from swarmhold.hardware.messages import SensorFrame
from swarmhold.hardware.runtime import OnnxPolicy, PolicyStep
from swarmhold.hardware.stack import row, stacked
from swarmhold.hardware.team_health import LocalState, Look, local_step


def tick_together(
    robots: Sequence[RobotController], frames: Sequence[SensorFrame], now: float
) -> list[Tick]:
    """Answer one sensor frame of each robot, as `RobotController.tick` does for one.

    Args:
        robots: of one team and with one opened policy, or else each is ticked for itself.
        frames: one for each.
        now: s, monotonic.
    """
    policy, size = robots[0].policy, robots[0].team_size
    alike = all(robot.policy is policy and robot.team_size == size for robot in robots)
    if len(robots) == 1 or not alike:
        return [robot.tick(frame, now) for robot, frame in zip(robots, frames, strict=True)]
    looks = [robot.look(frame, now) for robot, frame in zip(robots, frames, strict=True)]
    seen = Look(*(stacked(parts) for parts in zip(*looks, strict=True)))
    state, out = local_step(robots[0].settings, _kept_by(robots), *seen, now)
    local = [row(out, index) for index in range(len(robots))]
    questions = []
    for index, (robot, frame) in enumerate(zip(robots, frames, strict=True)):
        robot.kept = state, index
        questions.append(robot.ask(frame, local[index], now))
    steps = act_together(policy, questions)
    return [
        robot.answer(frame, made, step, now)
        for robot, frame, made, step in zip(robots, frames, local, steps, strict=True)
    ]


def _kept_by(robots: Sequence[RobotController]) -> LocalState:
    """Their memory as one; it is that already if they were together the last time."""
    kept = [robot.kept for robot in robots]
    whole = kept[0][0]
    if all(state is whole and place == index for index, (state, place) in enumerate(kept)) and (
        len(whole.fusion.weight) == len(robots)
    ):
        return whole
    return stacked([state if place is None else row(state, place) for state, place in kept])


def act_together(
    policy: OnnxPolicy, questions: Sequence[Question | None]
) -> list[PolicyStep | None]:
    """Decisions on questions; those of one shape go through the graph at once."""
    steps: list[PolicyStep | None] = [None] * len(questions)
    alike: dict[int, list[int]] = {}
    for index, question in enumerate(questions):
        if question is not None:
            bodies = question.observation.obstacle_mask.shape[-1]
            alike.setdefault(bodies, []).append(index)
    for members in alike.values():
        asked = [question for index in members if (question := questions[index]) is not None]
        for index, step in zip(members, _act(policy, asked), strict=True):
            steps[index] = step
    return steps


def _act(policy: OnnxPolicy, asked: list[Question]) -> list[PolicyStep]:
    if len(asked) > 1:
        observation, health, hidden = zip(*asked, strict=True)
        known = [past for past in hidden if past is not None]
        past = None
        if known:
            past = stacked([np.zeros_like(known[0]) if h is None else h for h in hidden])
        step = policy.act(stacked(observation), stacked(health), past)
        if step.finite:
            return [
                PolicyStep(
                    *(step.action[index], step.attention[index], step.inference_s, True),
                    None if step.hidden is None else step.hidden[index],
                )
                for index in range(len(asked))
            ]
    return [policy.act(*question) for question in asked]
