"""The quality gate over the clip manifest."""
