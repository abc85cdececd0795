"""Video and audio codecs behind one interface, from pixels and samples to latents and back."""
