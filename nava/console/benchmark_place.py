"""Where commands find a benchmark's items, and how they show progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nava.evaluation.benchmark.item import Item
    from nava.evaluation.benchmark.task import Task

DEFAULT_DATA = Path("~/.cache/nava/benchmarks")


def benchmark_place(name: str, data: Path | None) -> Path:
    """The folder of a benchmark's data: the one that is given, or its own in the user's cache."""
    return data or DEFAULT_DATA.expanduser() / name


def benchmark(name: str, data: Path | None) -> tuple[Task, list[Item]]:
    """A task and its items. InputError: there is no such task, or its data are not there or wrong."""
    from nava.evaluation.benchmark.layouts import load_items
    from nava.evaluation.benchmark.task import load_task

    task = load_task(name)
    folder = benchmark_place(task.task_id, data)
    if task.layout == "builtin":
        folder.mkdir(parents=True, exist_ok=True)
    return task, list(load_items(task, folder))


def watch(things: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """A bar on a terminal, lines elsewhere."""
    from nava.runtime.progress import Progress

    return Progress(bar=sys.stderr.isatty())(things, total=total, label=label)
