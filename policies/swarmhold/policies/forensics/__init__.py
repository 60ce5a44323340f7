"""Who failed first and how it spread: Patient-0 (arXiv 2602.08104), for after the flight only."""
