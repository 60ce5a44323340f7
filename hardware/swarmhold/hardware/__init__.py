"""The field side: everything that runs on a robot or at the ground station."""
