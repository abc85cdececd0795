"""Near-duplicates: clips are signed, clustered, compared inside clusters, and the best of each group is kept."""
