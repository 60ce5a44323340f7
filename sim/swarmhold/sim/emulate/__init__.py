"""The simulator as hardware: robots of one world that answer in the protocols of real ones."""
