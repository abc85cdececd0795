"""Of the stand-in for FunASR."""
