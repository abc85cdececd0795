"""The page of an ablation: architectures beside each other, with intervals over seeds. One HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nava.pages.charts import Tone, interval_axis, interval_bar, interval_scale
from nava.pages.formats import DASH, format_fixed, format_number, format_seconds
from nava.pages.shell import render

# What is smaller than that is rounding of the computation, and would stretch tables.
_MAX_DECIMALS = 6


@dataclass(frozen=True)
class Figure:
    """A column of the table: its key, its name, and how to read it."""

    key: str
    label: str
    reading: str
    higher_is_better: bool = False


FIGURES = (
    Figure("video_loss", "Video loss", "Mean squared error of the video velocity, on noise that is the same for all."),
    Figure("audio_loss", "Audio loss", "Mean squared error of the audio velocity, on noise that is the same for all."),
    Figure(
        "synchrony_gap",
        "Synchrony gap",
        "Video loss when given another clip's sound, minus that with its own: above zero, the sound helps the picture.",
        higher_is_better=True,
    ),
)


def render_ablation(table: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """Render the page of an ablation.

    Args:
        table: as `nava.evaluation.ablation.tabulate` gives it.
        speed: seconds per step by variant, each an estimate over seeds.

    Returns:
        HTML text that refers to nothing outside itself. All values are escaped.
    """
    return render(
        "ablation.html.j2",
        title="Architecture ablation",
        table=table,
        tiles=_tiles(table),
        figures=FIGURES,
        rows=[_row(table, name, speed[name]) for name in table["variants"]],
        plots=[_plot(table, figure) for figure in FIGURES],
        reference=table["variants"][table["reference"]]["label"],
    )


def _tiles(table: Mapping[str, Any]) -> list[dict[str, str]]:
    steps = table["shared"]["steps"]
    counts = [row["parameters"] for row in table["variants"].values()]
    return [
        {"label": "Seeds", "value": str(table["n"]), "detail": ", ".join(str(seed) for seed in table["seeds"])},
        {"label": "Steps", "value": f"{sum(steps):,}", "detail": " + ".join(f"{count:,}" for count in steps)},
        {
            "label": "Clips measured on",
            "value": str(table["clips"]),
            "detail": "held out" if table["split"] == "heldout" else "of training: the corpus holds none out",
        },
        {
            "label": "Parameters",
            "value": f"{_short(min(counts))} to {_short(max(counts))}",
            "detail": "each variant as near to the reference as whole layers allow",
        },
    ]


def _short(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.3f} M"


def _row(table: Mapping[str, Any], name: str, seconds: Mapping[str, Any]) -> dict[str, Any]:
    variant = table["variants"][name]
    reference = table["variants"][table["reference"]]["parameters"]
    change = 100 * (variant["parameters"] / reference - 1)
    layers = [
        f"{count} {key.removeprefix('num_').replace('_', ' ')}" for key, count in variant["layers"].items() if count
    ]
    return {
        "label": variant["label"],
        "layers": ", ".join(layers),
        "parameters": f"{variant['parameters']:,}",
        "change": "" if name == table["reference"] else f"{change:+.1f} %".replace("-", "−"),
        "figures": [estimate_words(variant["figures"][figure.key]) for figure in FIGURES],
        "differences": [_difference_words(variant["differences"][figure.key]) for figure in FIGURES],
        "seconds": format_seconds(seconds["value"]),
    }


def estimate_words(estimate: Mapping[str, Any]) -> tuple[str, str]:
    """A value, and its interval or why there is none."""
    if estimate["value"] is None:
        return DASH, "not measured"
    if estimate["ci_low"] is None:
        return format_number(estimate["value"], 4), "one seed: no interval"
    half = (estimate["ci_high"] - estimate["ci_low"]) / 2
    # Two digits of the interval's half width say all there is; value and ends line up.
    decimals = min(_MAX_DECIMALS, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 4
    value, low, high = (format_fixed(estimate[name], decimals) for name in ("value", "ci_low", "ci_high"))
    return value, f"[{low}, {high}]"


def _difference_words(estimate: Mapping[str, Any] | None) -> tuple[str, str]:
    return (DASH, "") if estimate is None else estimate_words(estimate)


def _plot(table: Mapping[str, Any], figure: Figure) -> dict[str, Any]:
    """The variants' intervals of one figure on a common scale, and those of the differences on another."""
    variants = table["variants"].values()
    values = {row["label"]: row["figures"][figure.key] for row in variants}
    differences = {row["label"]: found for row in variants if (found := row["differences"][figure.key])}
    return {
        "figure": figure,
        "values": _intervals(values, figure),
        "differences": _intervals(differences, figure, zero=True),
    }


def _intervals(estimates: Mapping[str, Mapping[str, Any]], figure: Figure, *, zero: bool = False) -> dict[str, Any]:
    """Bars of those that have an interval; of differences, those whose interval leaves out zero are coloured."""
    drawn = {label: found for label, found in estimates.items() if found["ci_low"] is not None}
    ends = [found[end] for found in drawn.values() for end in ("ci_low", "ci_high")]
    scale = interval_scale(ends, include=(0.0,) if zero else ())
    rows = []
    for label, found in drawn.items():
        tone = _tone(found, figure) if zero else "model"
        svg = interval_bar(found["value"], found["ci_low"], found["ci_high"], scale, tone)
        rows.append({"label": label, "words": estimate_words(found), "svg": svg, "n": found["n"]})
    return {"rows": rows, "axis": interval_axis(scale)}


def _tone(difference: Mapping[str, Any], figure: Figure) -> Tone:
    if difference["ci_low"] <= 0 <= difference["ci_high"]:
        return "neutral"
    return "good" if (difference["value"] > 0) == figure.higher_is_better else "bad"
