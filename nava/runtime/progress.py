"""Progress that reads well in a log file and can be drawn as a bar by whoever watches."""

import time
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

from nava.runtime.storage import write_json

T = TypeVar("T")
LINE_EVERY_S = 5.0
FILE_EVERY_S = 0.5


class Progress:
    """Prints plain lines now and then, and keeps a small JSON file that a terminal view draws from.

    Args:
        file: where the current position is kept (`label`, `done`, `total`); None keeps no file.
        bar: draw a bar on stderr instead of printing lines; for a terminal.
    """

    def __init__(self, file: Path | None = None, bar: bool = False) -> None:
        self.file = file
        self.bar = bar

    def __call__(self, iterable: Iterable[T], total: int | None = None, label: str = "items") -> Iterator[T]:
        """Iterate and report: `clips: 40/160 (25 %), 12.3/s, 10 s left`."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        if self.bar:
            yield from _drawn(iterable, total, label)
            return
        started = time.monotonic()
        line_at, file_at = started, 0.0
        done = 0
        for item in iterable:
            yield item
            done += 1
            now = time.monotonic()
            if now - file_at >= FILE_EVERY_S or done == total:
                file_at = now
                self._keep(label, done, total)
            if now - line_at >= LINE_EVERY_S:
                line_at = now
                print(_line(label, done, total, now - started), flush=True)
        print(_line(label, done, total, time.monotonic() - started, ended=True), flush=True)

    def _keep(self, label: str, done: int, total: int | None) -> None:
        if self.file is not None:
            write_json(self.file, {"label": label, "done": done, "total": total})


def _drawn(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """The same with a bar that a terminal redraws: share, count, time gone and left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        yield from bars.track(iterable, total=total, description=label)


def _line(label: str, done: int, total: int | None, seconds: float, ended: bool = False) -> str:
    rate = done / seconds if seconds > 0 else 0.0
    if ended:
        return f"{label}: {done} in {seconds:.1f} s"
    if not total:
        return f"{label}: {done}, {rate:.1f}/s"
    left = (total - done) / rate if rate > 0 else 0.0
    return f"{label}: {done}/{total} ({100 * done // total} %), {rate:.1f}/s, {left:.0f} s left"
