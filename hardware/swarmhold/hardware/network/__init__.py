"""Hosts on one machine: network namespaces, and between them cables that break below DDS."""
