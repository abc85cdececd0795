"""Corpus versions: a git and DVC repository of its own."""
