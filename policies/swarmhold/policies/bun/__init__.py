"""Sparse joint policies that say which robot must hear which (BUN, arXiv 2410.02516)."""
