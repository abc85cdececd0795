"""Environments of backends whose libraries clash with ours: a worker and its requirements in a folder for each."""
