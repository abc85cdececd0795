"""Being told to stop while something else runs: noted, and looked at between two waits."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether this process was told to stop."""

    requested = False


@contextmanager
def stop_on_sigterm() -> Iterator[StopRequest]:
    """Note SIGTERM instead of dying of it while the block runs. Outside the main thread signals are left alone."""
    request = StopRequest()

    def note(_signal: int, _frame: FrameType | None) -> None:
        request.requested = True

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = signal.signal(signal.SIGTERM, note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
