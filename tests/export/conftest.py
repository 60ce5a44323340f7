"""Bundles of these tests are thrown away: their thresholds need not be good."""

import pytest

from swarmhold.policies import calibrate


@pytest.fixture(autouse=True)
def few_teams(monkeypatch):
    """A tenth of the flights that thresholds of a bundle that flies come from."""
    monkeypatch.setattr(calibrate, "ROUGH_TEAMS", 3)
