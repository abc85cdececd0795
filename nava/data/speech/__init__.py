"""What is heard in a clip: voices and their turns, words, and audio tags."""
