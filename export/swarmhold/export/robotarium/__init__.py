"""The Robotarium as a place to fly: submission folders that its server can run."""
