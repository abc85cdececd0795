"""Step `report_scores`."""
