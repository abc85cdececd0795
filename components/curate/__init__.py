"""Step `curate`."""
