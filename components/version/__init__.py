"""Step `version`."""
