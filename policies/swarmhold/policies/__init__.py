"""Team policies: the health-weighted attention actor, its training and its evaluation."""
