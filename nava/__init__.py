"""NAVA: the life cycle of a joint audio-video generation model."""
