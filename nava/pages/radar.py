"""A radar chart: several results over axes that each run from worst, in the centre, to best, at the rim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nava.pages.charts import Tone
from nava.pages.formats import format_number

MIN_AXES = 3
_WIDTH, _HEIGHT, _RADIUS = 620, 384, 150
_RINGS = (0.25, 0.5, 0.75, 1.0)
_LABEL_GAP = 16


@dataclass(frozen=True)
class RadarShape:
    """A result: where it lies on each axis, 0 (centre) to 1 (rim), and its values as they were measured."""

    label: str
    shares: Sequence[float]
    values: Sequence[float]
    tone: Tone


def radar(axes: Sequence[str], shapes: Sequence[RadarShape], title: str) -> str:
    """The chart, or an empty string with fewer than three axes: they would be no area.

    Args:
        axes: their names, clockwise from the top.
        shapes: a share in 0..1 and a value for each axis.
        title: what is shown, for those who cannot see it.
    """
    if len(axes) < MIN_AXES:
        return ""
    parts = [f'<polygon class="radar-ring" points="{_polygon([ring] * len(axes))}"/>' for ring in _RINGS]
    for number, name in enumerate(axes):
        x, y = _point(number, len(axes), 1.0)
        parts.append(f'<line class="radar-ring" x1="{_WIDTH / 2:g}" y1="{_HEIGHT / 2:g}" x2="{x:.1f}" y2="{y:.1f}"/>')
        parts.append(_axis_label(name, number, len(axes)))
    for shape in shapes:
        parts.append(f'<polygon class="radar-shape tone-{shape.tone}" points="{_polygon(shape.shares)}"/>')
    for shape in shapes:
        for number, (name, share, value) in enumerate(zip(axes, shape.shares, shape.values, strict=True)):
            x, y = _point(number, len(axes), share)
            said = f"{escape(shape.label)}, {escape(name)}: {format_number(value, 4)}"
            parts.append(
                f'<circle class="radar-dot tone-{shape.tone}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
                f"<title>{said}</title></circle>"
            )
    told = "; ".join(
        f"{shape.label}: "
        + ", ".join(f"{name} {format_number(value, 4)}" for name, value in zip(axes, shape.values, strict=True))
        for shape in shapes
    )
    label = escape(f"{title}. {told}.", quote=True)
    return (
        f'<svg class="radar" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _point(number: int, count: int, share: float) -> tuple[float, float]:
    """Where a share of an axis lies; the first axis points up."""
    angle = 2 * math.pi * number / count
    reach = _RADIUS * min(1.0, max(0.0, share))
    return _WIDTH / 2 + reach * math.sin(angle), _HEIGHT / 2 - reach * math.cos(angle)


def _polygon(shares: Sequence[float]) -> str:
    points = (_point(number, len(shares), share) for number, share in enumerate(shares))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _axis_label(name: str, number: int, count: int) -> str:
    angle = 2 * math.pi * number / count
    x = _WIDTH / 2 + (_RADIUS + _LABEL_GAP) * math.sin(angle)
    y = _HEIGHT / 2 - (_RADIUS + _LABEL_GAP) * math.cos(angle)
    side = math.sin(angle)
    anchor = "middle" if abs(side) < 0.1 else "start" if side > 0 else "end"
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" dy="0.32em" text-anchor="{anchor}">{escape(name)}</text>'
