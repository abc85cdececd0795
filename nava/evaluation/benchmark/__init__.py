"""Benchmarks as data: what is asked for, by which metrics it is judged, and where published layouts keep it."""
