"""Other models under the same benchmark: what their scripts read, and how these name what they write."""
