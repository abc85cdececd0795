"""The page of a benchmark: results beside each other, every figure with its interval and coverage. One HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nava.pages.ablation_page import estimate_words
from nava.pages.charts import Tone, interval_axis, interval_bar, interval_scale
from nava.pages.formats import DASH, format_number, format_share
from nava.pages.media import EmbedBudget
from nava.pages.run_facts import ClipFacts
from nava.pages.run_sections import player_groups
from nava.pages.shell import render

CLIP_BYTES = 12_000_000
_TONES: tuple[Tone, ...] = ("model", "good", "video", "audio")


@dataclass(frozen=True)
class BenchmarkResult:
    """A result to show.

    Attributes:
        label: whose outputs they are.
        summary: `summary.json` of the result.
        rows: of `rows.jsonl`, as dictionaries.
    """

    label: str
    summary: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)


def render_benchmark(results: Sequence[BenchmarkResult], clips: Sequence[ClipFacts] = ()) -> str:
    """Render results of one task; the first one's columns come first.

    Args:
        results: of the same task, edition and items.
        clips: to look at, those of a prompt side by side.

    Returns:
        HTML text that refers to nothing outside itself. All values are escaped.
    """
    columns = list(dict.fromkeys(figure["column"] for result in results for figure in result.summary["figures"]))
    figures = {result.label: _by_column(result) for result in results}
    summary = results[0].summary
    return render(
        "benchmark.html.j2",
        script=True,
        title=f"{summary['title']}",
        summary=summary,
        tiles=_tiles(results, columns),
        labels=[result.label for result in results],
        metrics=[_metric(column, figures) for column in columns],
        absent=_absent(results),
        uncovered=[(result.label, figure) for result in results for figure in _short(result)],
        samples=[_samples(result) for result in results if result.rows],
        groups=player_groups(list(clips), EmbedBudget(CLIP_BYTES)),
    )


def _short(result: BenchmarkResult) -> list[Mapping[str, Any]]:
    return [figure for figure in result.summary["figures"] if not figure["covered"]]


def _by_column(result: BenchmarkResult) -> dict[str, Mapping[str, Any]]:
    return {figure["column"]: figure for figure in result.summary["figures"]}


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


def _metric(column: str, figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """A line of the table: the cell of each result, and their intervals on one scale."""
    there = {label: found[column] for label, found in figures.items() if column in found}
    first = next(iter(there.values()))
    drawn = {label: figure for label, figure in there.items() if figure["ci_low"] is not None}
    scale = interval_scale([figure[end] for figure in drawn.values() for end in ("ci_low", "ci_high")] or [0.0, 1.0])
    plots = [
        {
            "label": label,
            "svg": interval_bar(figure["value"], figure["ci_low"], figure["ci_high"], scale, _tone(label, figures)),
        }
        for label, figure in drawn.items()
    ]
    return {
        "column": column,
        "metric": first["metric"],
        "backend": first["backend"],
        "tier": first["tier"],
        "unproven": first["unproven"],
        "protocol": first["protocol"],
        "unit": first["unit"],
        "direction": first["direction"],
        "cells": [_cell(there.get(label)) for label in figures],
        "plots": plots,
        "axis": interval_axis(scale),
    }


def _tone(label: str, figures: Mapping[str, Any]) -> Tone:
    return _TONES[list(figures).index(label) % len(_TONES)]


def _cell(figure: Mapping[str, Any] | None) -> dict[str, Any]:
    if figure is None:
        return {"value": DASH, "interval": "not asked for", "n": "", "short": False}
    value, interval = estimate_words(figure)
    if figure["value"] is None:
        interval = figure["reason"] or "not measured"
    elif figure["ci_low"] is None:
        interval = "one item: no interval"
    return {
        "value": value,
        "interval": interval,
        "n": f"{figure['n']} of {figure['eligible']}",
        "short": not figure["covered"],
    }


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
