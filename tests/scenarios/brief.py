"""Coverage with episodes of 5 s, for tests of all but what is learnt in them."""

from swarmhold.sim.scenarios.coverage import Coverage


class Brief(Coverage):
    """Coverage, but brief."""

    name = "brief"
    title = "coverage of 5 s"
    episode_s = 5.0
