"""Weights of a model in files: read, load, initialise from another model's, export."""
