"""Step `plan_benchmark`."""
