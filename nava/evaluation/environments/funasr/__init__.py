"""FunASR: a worker that runs in an environment of its own."""
