"""Sources, synthetic corpus, curation, corpus versions, latent shards."""
