"""Text encoders and the structured prompt."""
