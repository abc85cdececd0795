"""A child that does not outlive its parent, however that ends. Elsewhere than on Linux only the parent cleans up."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals, parent_pid: int) -> None:
    """Ask the kernel for this signal when the parent dies; end at once if it already has.

    Args:
        number: the signal.
        parent_pid: process id of the parent, as it was when it started this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent_pid:
        sys.exit(128 + int(number))
