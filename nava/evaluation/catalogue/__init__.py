"""The metrics that there are, each with a manifest: what it measures, by which protocol, and what it misses."""
