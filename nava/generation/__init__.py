"""Sampling: prompts in, media files out."""
