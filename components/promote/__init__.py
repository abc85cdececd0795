"""Step `promote`."""
