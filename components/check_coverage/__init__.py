"""Step `check_coverage`."""
