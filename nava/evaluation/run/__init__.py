"""A run of a benchmark: which scores are wanted, features of the files, rows, figures with intervals."""
