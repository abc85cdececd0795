"""Features of media files: computed once per file and backend, kept by content, scored as often as one likes."""
