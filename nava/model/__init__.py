"""The Align-then-Fuse transformer."""
