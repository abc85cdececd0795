"""Step `aggregate_scores`."""
