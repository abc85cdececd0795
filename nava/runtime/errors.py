"""The ways a run can end other than well, and the exit code of each."""

from typing import Any

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_GATE_FAILED = 3
EXIT_DIVERGED = 4  # the same input would end the same way again
EXIT_INTERRUPTED = 130
EXIT_STOPPED = 143  # as a shell says of SIGTERM


class NavaError(Exception):
    """An error whose message is meant for the user: what is wrong, where, and what to do."""

    exit_code = EXIT_FAILED
    state = "failed"


class InputError(NavaError):
    """Wrong input or setting: the user can mend it."""

    exit_code = EXIT_WRONG_INPUT


class UnavailableError(NavaError):
    """A service or a network did not answer, through no fault of the input: the same command may succeed later."""


class RunStoppedError(InputError):
    """Nothing more can succeed until the user mends it: no record is to blame, so none may be marked as failed."""


class GateFailed(NavaError):  # noqa: N818 - a gate that says no is an outcome, not a fault
    """A gate said no. The verdict is written before this is raised.

    Args:
        message: the first failed rule and the first offending records.
        verdict: the handle of the verdict (`nava.runtime.handle.Handle`).
    """

    exit_code = EXIT_GATE_FAILED
    state = "gate_failed"

    def __init__(self, message: str, verdict: Any = None) -> None:
        super().__init__(message)
        self.verdict = verdict
