"""The operator console: one page for a live team, a simulated one and a recorded flight."""
