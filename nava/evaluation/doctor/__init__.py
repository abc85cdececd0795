"""Does each metric notice what its manifest says it notices, and nothing else? Clips that are spoilt in known ways."""
