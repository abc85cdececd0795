"""Step `configure`."""
