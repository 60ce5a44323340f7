"""Worlds, robots, scenarios and fault injection."""
