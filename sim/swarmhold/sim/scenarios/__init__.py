"""The tasks that teams are trained on."""
