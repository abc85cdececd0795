"""Sources: media in folders and buckets, manifests and published metadata, as a source manifest."""
