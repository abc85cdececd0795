"""The metrics of the embedded evaluation: names, protocols, directions, and where their values come from."""
