"""Step `generate_outputs`."""
