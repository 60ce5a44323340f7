"""Governance and permissions of DDS Security (OMG, 1.1) as XML.

Topics are named as ROS 2 names them on the wire: `rt/` before topics, `rq/` and `rr/` before the
two directions of a service.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from datetime import datetime

from swarmhold.hardware.security.access import Access

SCHEMA = "http://www.omg.org/spec/DDS-SECURITY/20170901"
GRAPH = "ros_discovery_info"  # by which ROS nodes learn of each other; no prefix
TIME = "%Y-%m-%dT%H:%M:%S"
_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"


def governance(domain: int) -> str:
    """What holds in a domain: nobody unknown joins, all is encrypted, all access is controlled."""
    root = ET.Element("dds", {_INSTANCE: f"{SCHEMA}/omg_shared_ca_governance.xsd"})
    rule = _add(_add(root, "domain_access_rules"), "domain_rule")
    _add(_add(rule, "domains"), "id", domain)
    _add(rule, "allow_unauthenticated_participants", "false")
    _add(rule, "enable_join_access_control", "true")
    for kind in ("discovery", "liveliness"):
        _add(rule, f"{kind}_protection_kind", "ENCRYPT")
    _add(rule, "rtps_protection_kind", "SIGN")
    topic = _add(_add(rule, "topic_access_rules"), "topic_rule")
    _add(topic, "topic_expression", "*")
    for what in (
        *("enable_discovery_protection", "enable_liveliness_protection"),
        *("enable_read_access_control", "enable_write_access_control"),
    ):
        _add(topic, what, "true")
    for kind in ("metadata", "data"):
        _add(topic, f"{kind}_protection_kind", "ENCRYPT")
    return _text(root)


def permissions(enclave: str, access: Access, domain: int, begins: datetime, ends: datetime) -> str:
    """What one process may do in a domain, for a time (UTC); everything else is denied."""
    root = ET.Element("dds", {_INSTANCE: f"{SCHEMA}/omg_shared_ca_permissions.xsd"})
    grant = _add(_add(root, "permissions"), "grant")
    grant.set("name", enclave)
    _add(grant, "subject_name", f"CN={enclave}")
    validity = _add(grant, "validity")
    _add(validity, "not_before", begins.strftime(TIME))
    _add(validity, "not_after", ends.strftime(TIME))
    rule = _add(grant, "allow_rule")
    _add(_add(rule, "domains"), "id", domain)
    for verb, names in (("publish", published(access)), ("subscribe", heard(access))):
        topics = _add(_add(rule, verb), "topics")
        for name in names:
            _add(topics, "topic", name)
    _add(grant, "default", "DENY")
    return _text(root)


def published(access: Access) -> list[str]:
    """DDS topics that a process writes: its topics, and answers of its services."""
    replies = (f"rr{name}Reply" for name in access.serves)
    return sorted([*_plain(access.publishes), *replies, GRAPH])


def heard(access: Access) -> list[str]:
    """DDS topics that a process reads: what it hears, and calls of its services."""
    requests = (f"rq{name}Request" for name in access.serves)
    return sorted([*_plain(access.hears), *requests, GRAPH])


def _plain(topics: Iterable[str]) -> list[str]:
    return [f"rt{name}" for name in topics]


def _add(parent: ET.Element, tag: str, text: object = None) -> ET.Element:
    child = ET.SubElement(parent, tag)
    child.text = None if text is None else str(text)
    return child


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
