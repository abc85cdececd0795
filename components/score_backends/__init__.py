"""Step `score_backends`."""
