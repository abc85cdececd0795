"""Storage, the store, steps and progress: what every part stands on."""
