"""The report of results: the page with its clips, and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nava.evaluation.published.beside import published_grid
from nava.evaluation.published.grid import latex, markdown
from nava.evaluation.run.leaderboard import by_measurement, leaderboard
from nava.evaluation.run.outputs import MAPPING_FILE, MEDIA_SUFFIXES, read_mapping
from nava.evaluation.run.records import ROWS_FILE, Row, read_rows, read_summary
from nava.evaluation.run.tables import latex_table, markdown_table
from nava.runtime.storage import write_text

if TYPE_CHECKING:
    from nava.pages.run_facts import ClipFacts

PAGE_FILE = "index.html"


def write_report(folders: Sequence[Path], out: Path, outputs: Sequence[Path] = (), clips: int = 4) -> Path:
    """Write `index.html`, `table.md`, `table.tex` and, where there is a published table, `published.md` and `.tex`.

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
    summaries = by_measurement([read_summary(folder) for folder in folders])
    labels = _labels([summary["model"] for summary in summaries])
    rows = [read_rows(folder / ROWS_FILE) for folder in folders]
    results = [
        BenchmarkResult(label, summary, [asdict(row) for row in own])
        for label, summary, own in zip(labels, summaries, rows, strict=True)
    ]
    names = [read_mapping(folder / MAPPING_FILE) for folder in folders]
    shown = [
        _clip(item, label, folder, own)
        for item in _first_items(rows[0], clips)
        for label, folder, own in zip(labels, outputs, names, strict=False)
    ]
    table = list(zip(labels, summaries, strict=True))
    files = {"table.md": (markdown_table(table), "all figures"), "table.tex": (latex_table(table), "the same in LaTeX")}
    grid = published_grid(table)
    if grid is not None:
        files["published.md"] = (markdown(grid), "beside published rows")
        files["published.tex"] = (latex(grid), "the same in LaTeX")
    for name, (text, _) in files.items():
        write_text(out / name, text)
    page = render_benchmark(
        results,
        [clip for clip in shown if clip is not None],
        asdict(grid) if grid is not None else None,
        {name: what for name, (_, what) in files.items()},
    )
    write_text(out / PAGE_FILE, page)
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


def _clip(item: str, label: str, folder: Path, names: Mapping[str, str]) -> ClipFacts | None:
    """An item's output, by the name that it was scored under or else by its id."""
    from nava.pages.run_facts import ClipFacts

    name = Path(names.get(item, ""))
    if name.name and not name.is_absolute() and ".." not in name.parts and (folder / name).is_file():
        return ClipFacts(folder / name, item, label)
    found = next((path for suffix in MEDIA_SUFFIXES if (path := folder / f"{item}{suffix}").is_file()), None)
    return ClipFacts(found, item, label) if found else None
