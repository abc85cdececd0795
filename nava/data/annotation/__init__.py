"""Putting kept clips into words: captions, visual tags and prompts, by rules or by models behind endpoints."""
