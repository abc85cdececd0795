"""Step `train_variant`."""
