"""What training says when it was told to stop."""

from nava.runtime.errors import NavaError


class TrainingStoppedError(NavaError):
    """Training was asked to stop and has saved where it stood."""
