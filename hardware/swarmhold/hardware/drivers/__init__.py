"""Links to robots."""
