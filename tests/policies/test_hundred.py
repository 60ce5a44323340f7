"""A hundred robots through the whole health chain: who died is found, and nobody else is."""

import numpy as np

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.policies.detectors import watched
from swarmhold.sim.env import SwarmEnv

N, DEAD = 100, 73


def test_a_hundred_robots_lose_the_one_that_died(rendezvous_bundle):
    bundle = open_bundle(rendezvous_bundle)
    policy, env = OnnxPolicy(bundle), SwarmEnv("rendezvous", "epuck", 1, N, seed=3)
    plan = [[FaultSpec("crash", DEAD, 0.4)]]
    seen = watched(env, lambda _: OnnxTeam(policy), bundle.health, plan, until_s=1.4)
    assert seen.state[0, DEAD] == HealthState.LOST
    assert 0.4 < seen.out_at[0, DEAD] < 1.4
    assert np.isinf(np.delete(seen.out_at[0], DEAD)).all()
    env.close()
