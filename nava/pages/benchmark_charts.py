"""What the page of a benchmark draws: each metric's bars and spreads, and the radar over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nava.pages.ablation_page import estimate_words
from nava.pages.charts import Tone, interval_axis, nice_scale, whisker_bar
from nava.pages.distributions import Value, spread, spread_scale
from nava.pages.formats import DASH, format_number
from nava.pages.radar import MIN_AXES, RadarShape, radar

TONES: tuple[Tone, ...] = ("video", "audio", "good", "bad", "warn", "neutral")
RADAR_RULE = (
    "Each axis runs from the worst value that any item of any result here has, in the centre, to the best, at the rim; "
    "where lower is better the axis is turned round. A result lies where its mean lies between the two. An axis is one "
    "metric by one backend under one protocol that all results have for enough items. Areas do not compare between "
    "pages of other results, items or axes."
)


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

    def figure(self, column: str) -> Mapping[str, Any] | None:
        """The figure of a column, if the result has it."""
        return next((figure for figure in self.summary["figures"] if figure["column"] == column), None)

    def values(self, figure: Mapping[str, Any]) -> tuple[list[Value], int]:
        """The items' values under a figure, and how many have none."""
        keys = ("metric", "backend", "protocol")
        own = [row for row in self.rows if all(row.get(key, figure[key]) == figure[key] for key in keys)]
        measured = [(row["item_id"], float(row["value"])) for row in own if row["value"] is not None]
        return measured, len(own) - len(measured)


def tone(number: int) -> Tone:
    """The colour of the n-th result, on all charts of a page."""
    return TONES[number % len(TONES)]


def metric_chart(column: str, results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """A card: a row for each result with its bar from zero, its interval, and the spread of its items."""
    found = [(number, result, figure) for number, result in enumerate(results) if (figure := result.figure(column))]
    first = found[0][2]
    drawn = [figure for _, _, figure in found if _finite(figure["value"])]
    ends = [figure[end] for figure in drawn for end in ("value", "ci_low", "ci_high") if figure[end] is not None]
    bars = nice_scale(min([0.0, *ends]), max([0.0, *ends]), ticks=4)
    values = {number: result.values(figure) for number, result, figure in found}
    spreads = spread_scale([value for measured, _ in values.values() for _, value in measured])
    rows = []
    for number, result, figure in found:
        measured, missing = values[number]
        title = f"{column}, {result.label}"
        value, interval = estimate_words(figure)
        bar = ""
        if _finite(figure["value"]):
            bar = whisker_bar(figure["value"], figure["ci_low"], figure["ci_high"], bars, tone(number), title)
        rows.append(
            {
                "label": result.label,
                "tone": tone(number),
                "value": value,
                "interval": interval if figure["ci_low"] is not None else "",
                "bar": bar,
                "spread": spread(measured, missing, spreads, tone(number), title),
                "n": len(measured) if figure["level"] != "set" else figure["n"],
                "missing": missing if figure["level"] != "set" else figure["eligible"] - figure["n"],
                "reason": figure["reason"],
            }
        )
    any_spread = any(row["spread"] for row in rows)
    return {
        **{key: first[key] for key in ("metric", "backend", "protocol", "unit", "direction", "level", "unproven")},
        "column": column,
        "rows": rows,
        "bar_axis": interval_axis(bars) if drawn else "",
        "spread_axis": interval_axis(spreads) if any_spread else "",
    }


def radar_view(columns: Sequence[str], results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """The radar, the ends of its axes, and the metrics that have none with the reason."""
    axes, left_out = [], []
    for column in columns:
        reason, axis = _axis(column, results)
        if axis is None:
            left_out.append({"column": column, "reason": reason})
        else:
            axes.append(axis)
    shapes = [
        RadarShape(
            label=result.label,
            shares=[axis["shares"][number] for axis in axes],
            values=[axis["values"][number] for axis in axes],
            tone=tone(number),
        )
        for number, result in enumerate(results)
    ]
    title = f"Means of {len(results)} results on {len(axes)} metrics, better outwards"
    return {
        "svg": radar([axis["label"] for axis in axes], shapes, title),
        "rule": RADAR_RULE,
        "axes": axes,
        "left_out": left_out,
        "too_few": len(axes) < MIN_AXES,
        "keys": [{"label": result.label, "tone": tone(number)} for number, result in enumerate(results)],
    }


def _axis(column: str, results: Sequence[BenchmarkResult]) -> tuple[str, dict[str, Any] | None]:
    """An axis, or why a column has none."""
    figures = [result.figure(column) for result in results]
    if without := [result.label for result, figure in zip(results, figures, strict=True) if figure is None]:
        return f"not asked for of {', '.join(without)}", None
    known = [figure for figure in figures if figure is not None]
    if any(not _finite(figure["value"]) or not figure["covered"] for figure in known):
        return "not every result has values for enough items", None
    pooled = [value for result, figure in zip(results, known, strict=True) for _, value in result.values(figure)[0]]
    if not pooled:
        return "one number for all items together: no range to place it in", None
    low, high = min(pooled), max(pooled)
    if high - low < 1e-12 * max(1.0, abs(high)):
        return "all items have the same value", None
    rising = known[0]["direction"] == "higher"
    shares = [(figure["value"] - low) / (high - low) for figure in known]
    worst, best = (low, high) if rising else (high, low)
    return "", {
        "label": f"{known[0]['metric']} {'↑' if rising else '↓'}",
        "column": column,
        "worst": format_number(worst, 4),
        "best": format_number(best, 4),
        "shares": shares if rising else [1 - share for share in shares],
        "values": [figure["value"] for figure in known],
        "texts": [format_number(figure["value"], 4) for figure in known],
    }


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def cell_words(figure: Mapping[str, Any] | None) -> dict[str, Any]:
    """A cell of the table of figures: value, interval or why there is none, coverage."""
    if figure is None:
        return {"value": DASH, "interval": "not asked for", "n": "", "short": False}
    value, interval = estimate_words(figure)
    if figure["value"] is None:
        interval = figure["reason"] or "not measured"
    elif figure["ci_low"] is None:
        interval = "one item: no interval"
    coverage = f"{figure['n']} of {figure['eligible']}"
    return {"value": value, "interval": interval, "n": coverage, "short": not figure["covered"]}
