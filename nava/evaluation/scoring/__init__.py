"""The mathematics of published metrics, without their networks: arrays, texts and votes in, numbers or reasons out."""
