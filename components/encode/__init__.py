"""Step `encode`."""
