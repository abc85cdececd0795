"""A child that does not outlive its parent, however that ends. Elsewhere than on Linux only the parent cleans up."""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOOK_S = 0.5


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


def end_after_parent(parent_pid: int, patience_s: float) -> None:
    """See to it that this process ends some time after its parent, even if the signal of that found it hanging.

    Args:
        parent_pid: as for `die_with_parent`.
        patience_s: what is left to it to end in order; then its children are killed, and it ends with them.
    """

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_LOOK_S)
        time.sleep(patience_s)
        for child in _children():
            os.kill(child, signal.SIGKILL)
        os._exit(128 + int(signal.SIGTERM))

    threading.Thread(target=watch, name="nava-parent-watch", daemon=True).start()


def _children() -> list[int]:
    """Process ids of this process's children, of whichever of its threads; none where /proc does not tell."""
    found: list[int] = []
    for listed in Path("/proc/self/task").glob("*/children"):
        try:
            found += [int(pid) for pid in listed.read_text().split()]
        except OSError:
            continue
    return found
