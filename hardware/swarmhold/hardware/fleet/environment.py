"""What the processes of a fleet on one host find in their environment."""

from __future__ import annotations

import os
from pathlib import Path

# Quick discovery: initial announcements at 0.1 s, short leases. Loopback and UDP alone, said here
# and not by the LOCALHOST range: that one brings shared memory along, which killed processes leave
# behind for ever, and finds no more than 32 participants.
_PROFILE = """<?xml version="1.0" encoding="UTF-8" ?>
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <transport_descriptors>
    <transport_descriptor>
      <transport_id>loopback</transport_id>
      <type>UDPv4</type>
      <interfaceWhiteList><address>127.0.0.1</address></interfaceWhiteList>
    </transport_descriptor>
  </transport_descriptors>
  <participant profile_name="swarmhold" is_default_profile="true">
    <rtps>
      <userTransports><transport_id>loopback</transport_id></userTransports>
      <useBuiltinTransports>false</useBuiltinTransports>
      <builtin><discovery_config>
        <leaseDuration><sec>3</sec></leaseDuration>
        <leaseAnnouncement><sec>0</sec><nanosec>500000000</nanosec></leaseAnnouncement>
        <initialAnnouncements>
          <count>10</count><period><sec>0</sec><nanosec>100000000</nanosec></period>
        </initialAnnouncements>
      </discovery_config></builtin>
    </rtps>
  </participant>
</profiles>
"""


def environment(folder: Path, domain: int) -> dict[str, str]:
    """Variables of every node; writes the discovery profile into the run folder.

    Args:
        folder: of the run; logs go there.
        domain: ROS domain.
    """
    profile = folder / "discovery.xml"
    profile.write_text(_PROFILE)
    env = dict(os.environ)
    env.update(
        ROS_DOMAIN_ID=str(domain),
        ROS_AUTOMATIC_DISCOVERY_RANGE="SYSTEM_DEFAULT",
        FASTRTPS_DEFAULT_PROFILES_FILE=str(profile.resolve()),
        ROS_LOG_DIR=str((folder / "logs").resolve()),
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        PYTHONUNBUFFERED="1",
    )
    env.pop("ROS_LOCALHOST_ONLY", None)
    return env
