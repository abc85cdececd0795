"""Step `report`."""
