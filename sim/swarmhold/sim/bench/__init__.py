"""What is measured on a machine, as ratios of things that ran in turns."""
