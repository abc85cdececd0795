"""Step `serve_check`."""
