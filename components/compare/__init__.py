"""Step `compare`."""
