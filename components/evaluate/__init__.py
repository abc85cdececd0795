"""Step `evaluate`."""
