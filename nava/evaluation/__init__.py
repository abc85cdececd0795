"""Metrics on generated clips, each with its baselines and confidence interval."""
