"""Learning from what was recorded: replay priorities, the trainer, and what keeps it safe."""
