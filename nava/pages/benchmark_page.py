"""The page of a benchmark: results beside each other, every figure with its interval and coverage. One HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from nava.pages.benchmark_charts import BenchmarkResult, cell_words, metric_chart, radar_view
from nava.pages.formats import DASH, format_number, format_share
from nava.pages.media import EmbedBudget, embed
from nava.pages.run_facts import ClipFacts
from nava.pages.run_sections import player_groups
from nava.pages.shell import render

CLIP_BYTES = 12_000_000
SOUND_MIMES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg"}

__all__ = ["BenchmarkResult", "render_benchmark"]


def render_benchmark(
    results: Sequence[BenchmarkResult],
    clips: Sequence[ClipFacts] = (),
    published: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> str:
    """Render results of one task; the first one's columns come first.

    Args:
        results: of the same task, edition and items.
        clips: to look at, those of a prompt side by side.
        published: the published table of the task with rows for the results, a `Grid` as a dictionary.
        files: what lies beside the page, by its relative path: what it is.

    Returns:
        HTML text that loads nothing outside itself. All values are escaped.
    """
    columns = list(dict.fromkeys(figure["column"] for result in results for figure in result.summary["figures"]))
    summary = results[0].summary
    budget = EmbedBudget(CLIP_BYTES)
    sounds = [clip for clip in clips if clip.path.suffix.lower() in SOUND_MIMES]
    return render(
        "benchmark.html.j2",
        script=True,
        title=f"{summary['title']}",
        summary=summary,
        tiles=_tiles(results, columns),
        labels=[result.label for result in results],
        metrics=[_line(column, results) for column in columns],
        charts=[metric_chart(column, results) for column in columns],
        radar=radar_view(columns, results),
        published=published,
        files=files or {},
        absent=_absent(results),
        uncovered=[(result.label, figure) for result in results for figure in _short(result)],
        samples=[_samples(result) for result in results if result.rows],
        groups=player_groups([clip for clip in clips if clip not in sounds], budget),
        sounds=_sound_groups(sounds, budget),
    )


def _sound_groups(clips: Sequence[ClipFacts], budget: EmbedBudget) -> list[dict[str, Any]]:
    """Recordings without pictures by prompt, each with its data or why there is none."""
    groups: dict[str, list[dict[str, str]]] = {}
    for clip in clips:
        data = embed(clip.path, SOUND_MIMES[PurePath(clip.path).suffix.lower()], budget)
        note = "" if data else "Not embedded: missing, empty, or over this page's limit."
        groups.setdefault(clip.prompt, []).append({"label": clip.variant, "data": data, "note": note})
    return [{"prompt": prompt, "players": players} for prompt, players in groups.items()]


def _short(result: BenchmarkResult) -> list[Mapping[str, Any]]:
    return [figure for figure in result.summary["figures"] if not figure["covered"]]


def _tiles(results: Sequence[BenchmarkResult], columns: Sequence[str]) -> list[dict[str, str]]:
    summary = results[0].summary
    short = sum(len(_short(result)) for result in results)
    return [
        {"label": "Items", "value": format_number(summary["items"]), "detail": f"edition {summary['edition']}"},
        {"label": "Results", "value": str(len(results)), "detail": "side by side"},
        {"label": "Metrics measured", "value": str(len(columns)), "detail": f"{len(_absent(results))} could not be"},
        {
            "label": "Figures with too few values",
            "value": str(short),
            "detail": f"{summary['min_coverage']:.0%} of the items must have one",
        },
    ]


def _line(column: str, results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """A line of the table of figures: the cell of each result."""
    figures = [result.figure(column) for result in results]
    first = next(figure for figure in figures if figure is not None)
    keys = ("metric", "backend", "tier", "unproven", "protocol", "unit", "direction")
    return {"column": column, **{key: first[key] for key in keys}, "cells": [cell_words(figure) for figure in figures]}


def _absent(results: Sequence[BenchmarkResult]) -> list[Mapping[str, str]]:
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for result in results:
        for entry in result.summary["absent"]:
            found.setdefault((entry["metric"], entry["backend"]), entry)
    return list(found.values())


def _samples(result: BenchmarkResult) -> dict[str, Any]:
    """A table of items by columns."""
    names = list(dict.fromkeys(f"{row['metric']}[{row['backend']}]" for row in result.rows))
    items: dict[str, dict[str, Any]] = {}
    for row in result.rows:
        entry = items.setdefault(row["item_id"], {"item": row["item_id"], "subset": row["subset"], "cells": {}})
        text = DASH if row["value"] is None else format_number(row["value"], 4)
        entry["cells"][f"{row['metric']}[{row['backend']}]"] = {
            "text": text,
            "sort": "" if row["value"] is None else repr(row["value"]),
            "reason": row["reason"],
        }
    missing = sum(row["value"] is None for row in result.rows)
    return {
        "label": result.label,
        "columns": names,
        "items": list(items.values()),
        "missing": missing,
        "share": format_share(missing, len(result.rows)),
    }
