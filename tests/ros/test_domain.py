"""ROS domains: taken ones are named, and claimed ones are left alone."""

import socket
import sys
from pathlib import Path

import pytest

from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.domain import choose_domain, ports, taken
from swarmhold.hardware.fleet.fleet import Fleet

sys.path.insert(0, str(Path(__file__).parent))
from fleet import free_domain

pytestmark = pytest.mark.system


def test_a_taken_domain_is_named(tmp_path, rendezvous_bundle):
    domain = free_domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("0.0.0.0", ports(domain)[0]))
        assert taken(domain)
        with pytest.raises(NotReadyError, match=f"ROS domain {domain} is in use"):
            Fleet(FleetConfig(rendezvous_bundle, 2, tmp_path / "f", domain=domain))
    claim = choose_domain(domain)  # of somebody who has not started anything yet
    with pytest.raises(NotReadyError, match=f"ROS domain {domain} is in use"):
        choose_domain(domain)
    claim.free()
    assert choose_domain(domain).free() is None
