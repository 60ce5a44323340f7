"""Sim-to-real gap: a recording's set-points through the simulator."""
