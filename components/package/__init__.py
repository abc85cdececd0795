"""Step `package`."""
