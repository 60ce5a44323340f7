"""Faults of a live robot, injected into what it senses, does, sends and hears."""
