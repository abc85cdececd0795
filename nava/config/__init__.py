"""Hydra structured configs and the recipes."""
