"""Watches a run from the terminal: a live table with bars where there is a terminal, plain lines elsewhere."""

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from nava.runtime.step import KEY_DIGITS
from nava.runtime.storage import read_json
from nava.runtime.store import StepRow, Store

POLL_S = 0.25
LINE_EVERY_POLLS = 40
MARKS = {
    "pending": "[dim]·[/]",
    "running": "[cyan]▶[/]",
    "succeeded": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "gate_failed": "[yellow]■[/]",
    "interrupted": "[red]✗[/]",
}


class RunView:
    """Shows a run's steps while the block runs, from the store and the steps' progress files."""

    def __init__(self, store: Store, run_id: str, run_dir: Path) -> None:
        self.store, self.run_id, self.run_dir = store, run_id, run_dir
        # The run redirects stdout; the view keeps the one it was started with.
        self.console = Console(file=sys.stdout)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._said: dict[str, str] = {}

    def __enter__(self) -> "RunView":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        if self.console.is_terminal:
            # The main thread redirects stdout meanwhile: the view must not swap it too.
            with Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
                while not self._stop.wait(POLL_S):
                    live.update(self._table(), refresh=True)
                live.update(self._table(), refresh=True)
            return
        polls = 0
        while not self._stop.wait(POLL_S):
            polls += 1
            self._lines(with_progress=polls % LINE_EVERY_POLLS == 0)
        self._lines(with_progress=False)

    def _progress(self, step: StepRow) -> dict[str, Any] | None:
        """Where a running step is: the newest progress file among its working folders."""
        files = [
            folder / "progress.json"
            for folder in (self.run_dir / "steps" / step.name).glob("?" * KEY_DIGITS)
            if (folder / "progress.json").is_file()
        ]
        try:
            value: dict[str, Any] = read_json(max(files, key=lambda file: file.stat().st_mtime))
        except (ValueError, OSError):
            return None
        return value

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for step in self.store.steps(self.run_id):
            seconds = f"{step.seconds:.1f} s" if step.seconds is not None else ""
            note: Any = "reused" if step.cached else ""
            if step.state == "running" and (progress := self._progress(step)):
                bar = ProgressBar(total=progress["total"] or progress["done"], completed=progress["done"], width=30)
                table.add_row(
                    MARKS[step.state],
                    step.name,
                    bar,
                    f"{progress['label']} {progress['done']}/{progress['total'] or '?'}",
                )
                continue
            table.add_row(MARKS.get(step.state, "?"), step.name, seconds, note)
        return table

    def _lines(self, with_progress: bool) -> None:
        for step in self.store.steps(self.run_id):
            if step.state == "pending":
                continue
            if self._said.get(step.name) != step.state:
                self._said[step.name] = step.state
                self._say(_line(step))
            elif with_progress and step.state == "running" and (progress := self._progress(step)):
                self._say(f"{step.name:<13} {progress['label']} {progress['done']}/{progress['total'] or '?'}")

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _line(step: StepRow) -> str:
    took = f" in {step.seconds:.1f} s" if step.seconds is not None else ""
    reused = ", reused" if step.cached else ""
    reason = f": {step.error['message']}" if step.error else ""
    return f"{step.name:<13} {step.state}{took}{reused}{reason}"
