"""Shared fixtures: isolation from the machine, and the bundles that ship."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("swarmhold", deadline=None)
settings.load_profile("swarmhold")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["SWARMHOLD_SCENARIOS"] = str(Path(__file__).parent / "scenarios")
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = ROOT / "export/swarmhold/export/bundles"
DOMAINS_PER_WORKER = 12
HIGHEST_DOMAIN = 100  # ports of higher ids run into the system's ephemeral range


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def rendezvous_bundle():
    return BUNDLES / "rendezvous-epuck"


@pytest.fixture(scope="session")
def coverage_bundle():
    return BUNDLES / "coverage-epuck"


@pytest.fixture(scope="session", autouse=True)
def ros_log_folder(tmp_path_factory):
    """rclpy writes one log file a process: into the run's own temporary folder."""
    folder = tmp_path_factory.mktemp("ros-log")
    os.environ["ROS_LOG_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def ros_domains():
    """Domain ids of this worker, each used by one test after the other."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    first = 1 + worker * DOMAINS_PER_WORKER % HIGHEST_DOMAIN
    ids = [min(first + step, HIGHEST_DOMAIN) for step in range(DOMAINS_PER_WORKER)]

    def forever():
        while True:
            yield from ids

    return forever()


@pytest.fixture(autouse=True)
def ros_domain(ros_domains, monkeypatch):
    """An id for every test, so that what one leaves behind never meets the next."""
    domain = next(ros_domains)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    return domain
