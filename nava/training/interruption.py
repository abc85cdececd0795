"""What training says when it was told to stop."""

from nava.runtime.errors import EXIT_STOPPED, NavaError


class TrainingStoppedError(NavaError):
    """Training was asked to stop and has saved where it stood."""

    exit_code = EXIT_STOPPED
    state = "interrupted"
