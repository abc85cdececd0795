"""The seeded generator of raw media with known truth."""
