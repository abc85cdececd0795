"""How values are spread: a box and a dot for each value, or columns of counts where dots would cover each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from statistics import median

from nava.pages.charts import Scale, Tone, nice_scale
from nava.pages.formats import format_number

Value = tuple[str, float]
DOTS = 80  # at most; more values are counted in bins
_BINS = 36
_HEIGHT_PX = 46
_ROWS = 5  # that dots are spread over, so that near ones show beside each other


def spread_scale(values: Sequence[float]) -> Scale:
    """The scale that the spreads of all results share: round ends around all values."""
    kept = [value for value in values if math.isfinite(value)]
    return nice_scale(min(kept, default=0.0), max(kept, default=1.0), ticks=4)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third, by linear interpolation between order statistics."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = math.floor(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    return at(0.25), median(ordered), at(0.75)


def spread(values: Sequence[Value], missing: int, scale: Scale, tone: Tone, title: str) -> str:
    """A row of a table: quartiles as a box with the median, and each value; empty without values.

    Args:
        values: what each is of, and the value.
        missing: how many have none; said to those who cannot see the chart, written beside it by the page.
        scale: that all rows share.
        tone: of the result.
        title: metric and result.
    """
    if not values:
        return ""
    numbers = [value for _, value in values]
    low, middle, high = quartiles(numbers)
    left, right = scale.percent(low), scale.percent(high)
    parts = [
        f'<line class="grid" x1="{scale.percent(tick):.2f}%" x2="{scale.percent(tick):.2f}%" y1="0" y2="100%"/>'
        for tick in scale.ticks
    ]
    place = f'x="{left:.2f}%" y="15%" width="{max(0.4, right - left):.2f}%" height="70%"'
    parts.append(f'<rect class="box tone-{tone}" {place} rx="4"/>')
    parts += _dots(values, scale, tone) if len(values) <= DOTS else _columns(numbers, scale, tone)
    at = scale.percent(middle)
    parts.append(f'<line class="median" x1="{at:.2f}%" x2="{at:.2f}%" y1="8%" y2="92%"/>')
    said = (
        f"{title}: {len(values)} values, {missing} missing; median {format_number(middle, 4)}, "
        f"quartiles {format_number(low, 4)} and {format_number(high, 4)}, "
        f"from {format_number(min(numbers), 4)} to {format_number(max(numbers), 4)}"
    )
    return (
        f'<svg class="interval spread" width="100%" height="{_HEIGHT_PX}" role="img" '
        f'aria-label="{escape(said, quote=True)}"><title>{escape(said)}</title>{"".join(parts)}</svg>'
    )


def _dots(values: Sequence[Value], scale: Scale, tone: Tone) -> list[str]:
    """Neighbours in value in different rows."""
    parts = []
    for number, (name, value) in enumerate(sorted(values, key=lambda entry: entry[1])):
        height = 26 + 48 * ((2 * number) % _ROWS) / (_ROWS - 1)
        parts.append(
            f'<circle class="value tone-{tone}" cx="{scale.percent(value):.2f}%" cy="{height:.0f}%" r="3">'
            f"<title>{escape(name)}: {format_number(value, 4)}</title></circle>"
        )
    return parts


def _columns(numbers: Sequence[float], scale: Scale, tone: Tone) -> list[str]:
    """Counts of equal bins over the scale."""
    counts = [0] * _BINS
    for number in numbers:
        counts[min(_BINS - 1, max(0, int(_BINS * scale.percent(number) / 100)))] += 1
    highest, width = max(counts), 100 / _BINS
    step = (scale.high - scale.low) / _BINS
    parts = []
    for index, count in enumerate(counts):
        if not count:
            continue
        height = 84 * count / highest
        span = f"{format_number(scale.low + index * step)} to {format_number(scale.low + (index + 1) * step)}"
        place = f'x="{index * width:.2f}%" y="{92 - height:.2f}%" width="{0.9 * width:.2f}%" height="{height:.2f}%"'
        parts.append(f'<rect class="value tone-{tone}" {place}><title>{span}: {count}</title></rect>')
    return parts
