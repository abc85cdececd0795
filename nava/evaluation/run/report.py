"""The report of results: the page with its clips, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nava.evaluation.run.leaderboard import leaderboard
from nava.evaluation.run.outputs import MEDIA_SUFFIXES
from nava.evaluation.run.rows import ROWS_FILE, Row, read_rows
from nava.evaluation.run.score import read_summary
from nava.evaluation.run.tables import latex_table, markdown_table
from nava.runtime.storage import write_text

if TYPE_CHECKING:
    from nava.pages.run_facts import ClipFacts

PAGE_FILE = "index.html"


def write_report(folders: Sequence[Path], out: Path, outputs: Sequence[Path] = (), clips: int = 4) -> Path:
    """Write `index.html`, `table.md` and `table.tex`.

    Args:
        folders: results of the same task, edition and items.
        out: where to.
        outputs: the folder of the generated files of each result, to show some of them; or none.
        clips: of how many items.

    Returns:
        The page.

    Raises:
        InputError: a folder is no result, or they are of other things.
    """
    from nava.pages.benchmark_page import BenchmarkResult, render_benchmark

    leaderboard(folders)  # refuses what cannot stand side by side
    summaries = [read_summary(folder) for folder in folders]
    labels = _labels([summary["model"] for summary in summaries])
    rows = [read_rows(folder / ROWS_FILE) for folder in folders]
    results = [
        BenchmarkResult(label, summary, [asdict(row) for row in own])
        for label, summary, own in zip(labels, summaries, rows, strict=True)
    ]
    shown = [
        _clip(item, label, folder)
        for item in _first_items(rows[0], clips)
        for label, folder in zip(labels, outputs, strict=False)
    ]
    table = list(zip(labels, summaries, strict=True))
    write_text(out / "table.md", markdown_table(table))
    write_text(out / "table.tex", latex_table(table))
    write_text(out / PAGE_FILE, render_benchmark(results, [clip for clip in shown if clip is not None]))
    return out / PAGE_FILE


def _labels(models: Sequence[str]) -> list[str]:
    """Names that tell results of one model apart."""
    return [
        f"{model} ({models[: number + 1].count(model)})" if models.count(model) > 1 else model
        for number, model in enumerate(models)
    ]


def _first_items(rows: Sequence[Row], count: int) -> list[str]:
    """The first item of each subset, then the second, and so on."""
    by_subset: dict[str, list[str]] = {}
    for item, subset in sorted({(row.item_id, row.subset) for row in rows}):
        by_subset.setdefault(subset, []).append(item)
    longest = max(map(len, by_subset.values()), default=0)
    turns = [items[turn] for turn in range(longest) for items in by_subset.values() if turn < len(items)]
    return turns[:count]


def _clip(item: str, label: str, folder: Path) -> ClipFacts | None:
    from nava.pages.run_facts import ClipFacts

    found = next((path for suffix in MEDIA_SUFFIXES if (path := folder / f"{item}{suffix}").is_file()), None)
    return ClipFacts(found, item, label) if found else None
