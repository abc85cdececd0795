"""Training: stages, micro-batches, the DeepSpeed engine, the loop, validation."""
