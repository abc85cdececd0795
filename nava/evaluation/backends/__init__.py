"""Backends with published weights: each turns a file into the features that a paper's metric is computed from."""
