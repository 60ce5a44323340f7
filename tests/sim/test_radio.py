"""Messages between simulated robots that come out of order."""

import numpy as np
import pytest

from swarmhold.hardware.faults import FaultSpec
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv

START, END = 1.0, 21.0


@pytest.fixture(scope="module", params=[{}, {"link_delay_s": 0.2}], ids=["prompt", "late"])
def heard(request):
    """Of every decision: which messages came, when they were sent, how old they are."""
    disturbances = Disturbances(**request.param)
    env = SwarmEnv("coverage", "epuck", 2, 3, seed=9, disturbances=disturbances)
    env.limit = 300
    env.reset(episode=0, faults=[[], [FaultSpec("reorder", 1, START, END - START, seed=4)]])
    rows = []
    for _ in range(240):
        env.step(np.zeros((2, 3, 2)))
        seen = env.evidence()
        radio = env.radio
        rows.append((radio.fresh, radio.sent_at, seen.age, env.time_s))
    return [np.array([row[k] for row in rows]) for k in range(4)]


def test_older_messages_never_replace_later_ones(heard):
    fresh, sent, _, time = heard
    assert (np.diff(sent, axis=0)[1:] >= 0.0).all()
    during = (time[:, 1] >= START) & (time[:, 1] < END)
    usual = fresh[during][:, 0, 0, 1].mean()
    assert 0.3 * usual < fresh[during][:, 1, 0, 1].mean() < 0.8 * usual
    assert abs(fresh[during][:, 1, 1, 2].mean() - usual) < 0.1 * usual, "robot 1 alone"
    over = fresh[time[:, 1] > END + 0.5][:, 1, 0, 1].mean()
    assert abs(over - usual) < 0.2 * usual, "over when it is over"


def test_enough_messages_come_in_for_nobody_to_seem_silent(heard):
    _, _, age, time = heard
    during = (time[:, 1] >= START) & (time[:, 1] < END)
    calm = age[during][:, 0, 0, 1].max()
    assert age[during][:, 1, 0, 1].max() <= calm + 0.2 + 1e-9
