"""The console: starts pipelines, watches them, and writes the page they end on."""
