"""What the processes of a fleet on one host find in their environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.fleet.domain import ports

LOOPBACK = "127.0.0.1"

# Built-in transports and with them shared memory are off, which killed processes leave behind for
# ever; so is the LOCALHOST range of ROS, which finds no more than 32 participants.
_PROFILE = """<?xml version="1.0" encoding="UTF-8" ?>
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <transport_descriptors>
    <transport_descriptor>
      <transport_id>udp</transport_id>
      <type>UDPv4</type>
{interfaces}    </transport_descriptor>
  </transport_descriptors>
  <participant profile_name="swarmhold" is_default_profile="true">
    <rtps>
      <userTransports><transport_id>udp</transport_id></userTransports>
      <useBuiltinTransports>false</useBuiltinTransports>
      <builtin>
        <discovery_config>
          <leaseDuration>{lease}</leaseDuration>
          <leaseAnnouncement>{announcement}</leaseAnnouncement>
          <initialAnnouncements>
            <count>10</count><period><sec>0</sec><nanosec>100000000</nanosec></period>
          </initialAnnouncements>
        </discovery_config>{unicast}
      </builtin>
    </rtps>
  </participant>
</profiles>
"""
_INTERFACES = """      <interfaceWhiteList>{own}</interfaceWhiteList>
"""
# A metatraffic locator of one's own, with address and port left to the middleware, is what turns
# multicast off.
_UNICAST = """
        <metatrafficUnicastLocatorList><locator><udpv4/></locator></metatrafficUnicastLocatorList>
        <initialPeersList>{peers}
        </initialPeersList>"""
_PEER = """
          <locator><udpv4><address>{address}</address><port>{port}</port></udpv4></locator>"""


@dataclass(frozen=True, slots=True)
class Network:
    """How the nodes of one host find each other and those of other hosts.

    Attributes:
        address: by which other hosts reach this one; None: there are none, loopback is all.
        peers: address of every host, with how many participants its nodes may have at a time.
        announce_s: s between two announcements of a participant.
        lease_s: s of silence after which a participant is forgotten.
        everywhere: whether others are looked for on all interfaces, by multicast: robots that
            speak ROS are found where they are.
    """

    address: str | None = None
    peers: tuple[tuple[str, int], ...] = ()
    announce_s: float = 0.5
    lease_s: float = 3.0
    everywhere: bool = False

    def profile(self, domain: int) -> str:
        """The discovery profile (XML) of every node of the host.

        A peer without a port would stand for the ports of four participants (or of the
        transport's `maxInitialPeersRange`), on every host; so each port is written out.
        """
        here = [LOOPBACK] if self.address is None else [self.address, LOOPBACK]
        own = [f"<address>{address}</address>" for address in here]
        peers = [
            _PEER.format(address=LOOPBACK if address == self.address else address, port=port)
            for address, participants in self.peers
            for port in ports(domain, participants)
        ]
        return _PROFILE.format(
            interfaces="" if self.everywhere else _INTERFACES.format(own="".join(own)),
            lease=_duration(self.lease_s),
            announcement=_duration(self.announce_s),
            unicast=_UNICAST.format(peers="".join(peers)) if peers else "",
        )


ALONE = Network()
EVERYWHERE = Network(everywhere=True)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"<sec>{whole}</sec><nanosec>{round(1e9 * (seconds - whole))}</nanosec>"


def environment(folder: Path, domain: int, network: Network) -> dict[str, str]:
    """Variables of every node; writes the discovery profile into the run folder.

    Args:
        folder: of the run; logs go there.
        domain: ROS domain.
        network: how nodes find each other.
    """
    profile = folder / "discovery.xml"
    profile.write_text(network.profile(domain))
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
    for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS"):
        env.pop(name, None)
    return env
