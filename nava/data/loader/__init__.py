"""From latents to training: which clips make up which micro-batch, on which rank, and how they get there in time."""
