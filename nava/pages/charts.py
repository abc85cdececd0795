"""Charts as SVG text: loss curves, confidence intervals, bars, and the two traces under a clip.

Positions along a chart are percentages and strokes do not scale, so a chart fills whatever width it is given while its
text and lines keep their size. Colours come from the style sheet by class (`tone-video`, `tone-audio`, ...): no chart
carries a style of its own, which the page's policy would refuse. All text is escaped here.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

from nava.pages.formats import format_fixed, format_number

Tone = Literal["video", "audio", "model", "neutral", "good", "bad", "warn"]
Point = tuple[float, float]
_DRAWN_POINTS = 320
_NESTED = 1000
# Beyond these, ticks are written with exponents.
_SMALL_STEP, _LARGE_TICK = 1e-8, 1e9


@dataclass(frozen=True)
class Series:
    """A line of a chart. `line` is solid, `faint` lies behind and does not set the scale, `markers` is dotted."""

    label: str
    points: Sequence[Point]
    tone: Tone
    style: Literal["line", "faint", "markers"] = "line"


@dataclass(frozen=True)
class Scale:
    """A linear scale: `low`..`high` to 0..100 per cent, with the ticks to draw."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def percent(self, value: float) -> float:
        """Where a value lies, in per cent of the length."""
        return 100 * (value - self.low) / (self.high - self.low)


def finite(points: Iterable[Point]) -> list[Point]:
    """The points whose coordinates are finite numbers."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def smooth(points: Sequence[Point], window: int | None = None) -> list[Point]:
    """Moving average over about `window` points (a thirtieth of them by default), exponential, unbiased."""
    points = finite(points)
    window = max(1, len(points) // 30) if window is None else window
    decay = 1 - 1 / window
    total = weight = 0.0
    result = []
    for x, y in points:
        total = decay * total + (1 - decay) * y
        weight = decay * weight + (1 - decay)
        result.append((x, total / weight))
    return result


def thin(points: Sequence[Point], limit: int = _DRAWN_POINTS) -> list[Point]:
    """At most `limit` points: means over equal runs of points, the last point kept as it is."""
    if len(points) <= limit:
        return list(points)
    size = math.ceil(len(points) / (limit - 1))
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    means = [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]
    return [*means[:-1], points[-1]]


def nice_scale(low: float, high: float, ticks: int = 5, pad: bool = True) -> Scale:
    """A scale whose ticks are round numbers. With `pad` it ends on ticks outside `low`..`high`, else exactly there."""
    if high - low < 1e-12 * max(1.0, abs(low)):
        around = max(0.5, 1e-3 * abs(low))
        low, high = low - around, high + around
    # Divided first: of two ends near the largest number the difference is not one.
    rough = high / max(1, ticks - 1) - low / max(1, ticks - 1)
    exponent = math.floor(math.log10(rough))
    magnitude = 10.0**exponent
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [round(index * step, max(12, 3 - exponent)) for index in range(first, last + 1)]
    if pad:
        return Scale(values[0], values[-1], tuple(values))
    return Scale(low, high, tuple(value for value in values if low <= value <= high))


def _tick_text(value: float, ticks: Sequence[float]) -> str:
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    if step < _SMALL_STEP or max(map(abs, ticks)) >= _LARGE_TICK:
        return f"{value:.3g}".replace("-", "\u2212", 1) if value < 0 else f"{value:.3g}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if round(step, decimals) != round(step, decimals + 1):
        decimals += 1
    return format_fixed(value, decimals)


def _path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    scaled = ((x.percent(px) * 10, _NESTED - y.percent(py) * 10) for px, py in points)
    return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in scaled)


def _grid(x: Scale, y: Scale, x_label: str) -> str:
    parts = []
    for tick in y.ticks:
        top = 100 - y.percent(tick)
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{top:.2f}%" y2="{top:.2f}%"/>')
        text = _tick_text(tick, y.ticks)
        parts.append(f'<text class="tick" x="-10" y="{top:.2f}%" dy="0.32em" text-anchor="end">{text}</text>')
    for tick in x.ticks:
        left = x.percent(tick)
        anchor = "end" if left > 96 else "middle"
        parts.append(
            f'<text class="tick" x="{left:.2f}%" y="100%" dy="18" text-anchor="{anchor}">{format_number(tick)}</text>'
        )
    parts.append(f'<text class="tick" x="50%" y="100%" dy="36" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _markers(series: Series, points: Sequence[Point], x: Scale, y: Scale) -> str:
    parts = []
    for index, (px, py) in enumerate(points):
        end = index in (0, len(points) - 1)
        parts.append(
            f'<circle class="marker tone-{series.tone}" cx="{x.percent(px):.2f}%" cy="{100 - y.percent(py):.2f}%" '
            f'r="{4.5 if end else 3}"/>'
        )
    return "".join(parts)


def _describe(series: Sequence[Series]) -> str:
    sentences = []
    for one in series:
        points = finite(one.points)
        if one.style != "faint" and points:
            sentences.append(f"{one.label} from {format_number(points[0][1])} to {format_number(points[-1][1])}")
    return "; ".join(sentences)


def _read_out(series: Sequence[Series]) -> str:
    """What the page's script needs to show values under the pointer."""
    lines = [
        {
            "label": one.label,
            "tone": one.tone,
            "points": [[round(x, 4), round(y, 6)] for x, y in thin(finite(one.points))],
        }
        for one in series
        if one.style != "faint"
    ]
    return json.dumps(lines, separators=(",", ":"))


def line_chart(series: Sequence[Series], *, title: str, x_label: str, height_px: int = 230) -> str:
    """A line chart with axes, for a page that may hold the script's read-out.

    Args:
        series: the lines; `faint` ones are drawn behind and cut off where they leave the others' range.
        title: what the chart shows, for those who cannot see it; the first and last values are added.
        x_label: what the horizontal axis counts.
        height_px: height of the plotting area.

    Returns:
        SVG text, or an empty string when no series has a finite point.
    """
    leading = [point for one in series if one.style != "faint" for point in finite(one.points)]
    if not leading:
        return ""
    every = leading + [point for one in series if one.style == "faint" for point in finite(one.points)]
    y = nice_scale(min(py for _, py in leading), max(py for _, py in leading))
    left, right = min(px for px, _ in every), max(px for px, _ in every)
    x = nice_scale(left, right if right > left else left + 1, ticks=6, pad=False)
    lines, marks = [], []
    for one in sorted(series, key=lambda s: s.style != "faint"):
        points = thin(finite(one.points))
        if len(points) > 1:
            lines.append(
                f'<path class="curve is-{one.style} tone-{one.tone}" vector-effect="non-scaling-stroke" '
                f'd="{_path(points, x, y)}"/>'
            )
        if one.style == "markers":
            marks.append(_markers(one, points, x, y))
    label = escape(f"{title}. {_describe(series)}.", quote=True)
    return (
        f'<svg class="plot" width="100%" height="{height_px}" role="img" aria-label="{label}" '
        f'data-low="{x.low:.6g}" data-high="{x.high:.6g}" data-bottom="{y.low:.6g}" data-top="{y.high:.6g}" '
        f'data-x-label="{escape(x_label, quote=True)}" '
        f'data-series="{escape(_read_out(series), quote=True)}">'
        f"{_grid(x, y, x_label)}"
        f'<svg class="lines" width="100%" height="100%" viewBox="0 0 {_NESTED} {_NESTED}" preserveAspectRatio="none">'
        f"{''.join(lines)}</svg>{''.join(marks)}"
        '<line class="cursor" x1="0" x2="0" y1="0" y2="100%" visibility="hidden"/></svg>'
    )


def interval_scale(values: Sequence[float], include: Sequence[float] = ()) -> Scale:
    """The scale that intervals share: round ends around all values, zero among them when it is near."""
    kept = [value for value in (*values, *include) if math.isfinite(value)]
    low, high = min(kept, default=0.0), max(kept, default=1.0)
    span = max(high - low, 1e-9)
    if 0 < low < span:
        low = 0.0
    elif -span < high < 0:
        high = 0.0
    return nice_scale(low, high, ticks=5)


def interval_bar(value: float, low: float, high: float, scale: Scale, tone: Tone, bounds: Sequence[float] = ()) -> str:
    """A value and its interval on a shared scale, as one row of a table; `bounds` are drawn as dashed lines."""
    centre, left, right = (min(100.0, max(0.0, scale.percent(number))) for number in (value, low, high))
    parts = [
        f'<line class="grid" x1="{scale.percent(tick):.2f}%" x2="{scale.percent(tick):.2f}%" y1="0" y2="100%"/>'
        for tick in scale.ticks
    ]
    if scale.low <= 0 <= scale.high:
        zero = scale.percent(0)
        parts.append(f'<line class="axis" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="0" y2="100%"/>')
    for bound in bounds:
        at = scale.percent(bound)
        parts.append(f'<line class="bound" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="100%"/>')
    parts.append(f'<line class="whisker tone-{tone}" x1="{left:.2f}%" x2="{right:.2f}%" y1="50%" y2="50%"/>')
    parts += [
        f'<line class="whisker-end tone-{tone}" x1="{end:.2f}%" x2="{end:.2f}%" y1="30%" y2="70%"/>'
        for end in (left, right)
    ]
    parts.append(f'<circle class="dot tone-{tone}" cx="{centre:.2f}%" cy="50%" r="5.5"/>')
    label = f"{format_fixed(value)}, 95 % interval {format_fixed(low)} to {format_fixed(high)}"
    return f'<svg class="interval" width="100%" height="30" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def whisker_bar(value: float, low: float | None, high: float | None, scale: Scale, tone: Tone, title: str) -> str:
    """A bar from zero to a value with the whisker of its interval, as one row of a table.

    Args:
        value: the bar's end.
        low, high: of the interval; None for none.
        scale: that all rows share; it must hold zero, or lengths would not be proportional to values.
        tone: of the bar.
        title: what is shown, for those who cannot see it.
    """
    zero, end = scale.percent(0.0), scale.percent(value)
    parts = [
        f'<line class="grid" x1="{scale.percent(tick):.2f}%" x2="{scale.percent(tick):.2f}%" y1="0" y2="100%"/>'
        for tick in scale.ticks
    ]
    left, width = min(zero, end), abs(end - zero)
    place = f'x="{left:.2f}%" y="24%" width="{width:.2f}%" height="52%"'
    parts.append(f'<rect class="bar-end tone-{tone}" {place} rx="2"/>')
    parts.append(f'<line class="axis" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="0" y2="100%"/>')
    said = f"{title}: {format_number(value, 4)}"
    if low is not None and high is not None:
        ends = scale.percent(low), scale.percent(high)
        parts.append(f'<line class="error" x1="{ends[0]:.2f}%" x2="{ends[1]:.2f}%" y1="50%" y2="50%"/>')
        parts += [f'<line class="error-end" x1="{at:.2f}%" x2="{at:.2f}%" y1="34%" y2="66%"/>' for at in ends]
        said += f", 95 % interval {format_number(low, 4)} to {format_number(high, 4)}"
    label = escape(said, quote=True)
    return (
        f'<svg class="interval whisker-bar" width="100%" height="46" role="img" aria-label="{label}">'
        f"<title>{escape(said)}</title>{''.join(parts)}</svg>"
    )


def interval_axis(scale: Scale) -> str:
    """The tick labels under rows of intervals."""
    parts = []
    for tick in scale.ticks:
        at = scale.percent(tick)
        parts.append(
            f'<text class="tick" x="{at:.2f}%" y="14" text-anchor="middle">{_tick_text(tick, scale.ticks)}</text>'
        )
    return f'<svg class="interval" width="100%" height="20" aria-hidden="true">{"".join(parts)}</svg>'


def bar(part: float, whole: float, tone: Tone) -> str:
    """A horizontal bar: `part` of `whole`."""
    share = 100 * part / whole if whole > 0 else 0.0
    return (
        '<svg class="bar" width="100%" height="10" aria-hidden="true">'
        '<rect class="bar-track" width="100%" height="10" rx="5"/>'
        f'<rect class="tone-{tone}" width="{min(100.0, share):.2f}%" height="10" rx="5"/></svg>'
    )


def stacked_bar(parts: Sequence[tuple[str, float, Tone]], height_px: int = 18) -> str:
    """One bar divided into labelled parts; parts that are zero are left out."""
    whole = sum(value for _, value, _ in parts)
    if whole <= 0:
        return ""
    rects, at = [], 0.0
    for label, value, tone in parts:
        if value <= 0:
            continue
        width = 100 * value / whole
        rects.append(
            f'<rect class="tone-{tone}" x="{at:.3f}%" width="{width:.3f}%" height="{height_px}">'
            f"<title>{escape(label)}: {format_number(value)}</title></rect>"
        )
        at += width
    text = escape(", ".join(f"{label} {format_number(value)}" for label, value, _ in parts), quote=True)
    return f'<svg class="stack" width="100%" height="{height_px}" role="img" aria-label="{text}">{"".join(rects)}</svg>'


def traces(picture: Sequence[float], sound: Sequence[float], height_px: int = 44) -> str:
    """Brightness of the picture (line) over loudness of the sound (area) of one clip; both are drawn 0..1 over time."""
    if len(picture) < 2 and len(sound) < 2:
        return ""
    unit = Scale(0.0, 1.0, ())
    paths = []
    for values, tone, closed in ((sound, "audio", True), (picture, "video", False)):
        if len(values) < 2:
            continue
        points = [(index / (len(values) - 1), min(1.0, max(0.0, value))) for index, value in enumerate(values)]
        shape = _path(points, unit, unit) + (f"L{_NESTED} {_NESTED}L0 {_NESTED}Z" if closed else "")
        kind = "area" if closed else "curve is-line"
        paths.append(f'<path class="{kind} tone-{tone}" vector-effect="non-scaling-stroke" d="{shape}"/>')
    return (
        f'<svg class="traces" width="100%" height="{height_px}" role="img" '
        'aria-label="Brightness of the picture and loudness of the sound over the clip">'
        f'<svg width="100%" height="100%" viewBox="0 0 {_NESTED} {_NESTED}" preserveAspectRatio="none">{"".join(paths)}'
        '</svg><line class="playhead" x1="0" x2="0" y1="0" y2="100%"/></svg>'
    )


def score_bar(value: float, low: float, high: float, usual: tuple[float, float], bounds: Sequence[float]) -> str:
    """Where a value lies among those of a corpus: the usual range as a band, what it is held against as dashed lines.

    Args:
        value: of the record.
        low, high: ends of the bar; what lies beyond is drawn at the end.
        usual: range of most records.
        bounds: thresholds.
    """
    scale = Scale(low, high, ())

    def at(number: float) -> float:
        return min(99.0, max(1.0, scale.percent(number)))

    band = (at(usual[0]), max(0.5, at(usual[1]) - at(usual[0])))
    lines = "".join(f'<line class="bound" x1="{at(b):.2f}%" x2="{at(b):.2f}%" y1="2" y2="20"/>' for b in bounds)
    return (
        '<svg class="interval score-bar" width="100%" height="22" aria-hidden="true">'
        '<rect class="bar-track" y="8" width="100%" height="6" rx="3"/>'
        f'<rect class="usual" x="{band[0]:.2f}%" y="8" width="{band[1]:.2f}%" height="6" rx="3"/>{lines}'
        f'<circle class="dot tone-model" cx="{at(value):.2f}%" cy="11" r="5.5"/></svg>'
    )


def histogram(
    edges: Sequence[float],
    layers: Sequence[tuple[str, Sequence[int], Tone]],
    *,
    title: str,
    x_label: str,
    bounds: Sequence[float] = (),
    height_px: int = 150,
) -> str:
    """Counts per bin as stacked columns.

    Args:
        edges: of the bins, rising; one more than there are bins.
        layers: name, counts and tone, drawn upwards in this order.
        title: what is counted, for those who cannot see it.
        x_label: what lies along the axis.
        bounds: thresholds, drawn as dashed lines where they lie within the edges.
        height_px: of the plotting area.
    """
    highest = max((sum(counts) for counts in zip(*(layer[1] for layer in layers), strict=True)), default=0)
    if not highest:
        return ""
    x, y = nice_scale(edges[0], edges[-1], ticks=5, pad=False), nice_scale(0, highest, ticks=4)
    parts = [_grid(x, y, x_label)]
    below = [0] * (len(edges) - 1)
    for name, counts, tone in layers:
        for index, count in enumerate(counts):
            if not count:
                continue
            left, right = x.percent(edges[index]), x.percent(edges[index + 1])
            top = 100 - y.percent(below[index] + count)
            span = f"{format_number(edges[index])} to {format_number(edges[index + 1])}"
            parts.append(
                f'<rect class="bin tone-{tone}" x="{left:.2f}%" y="{top:.2f}%" width="{0.92 * (right - left):.2f}%" '
                f'height="{y.percent(count):.2f}%"><title>{escape(name)}, {span}: {format_number(count)}</title></rect>'
            )
            below[index] += count
    for bound in bounds:
        if edges[0] <= bound <= edges[-1]:
            at = x.percent(bound)
            parts.append(f'<line class="bound" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="100%"/>')
    said = "; ".join(f"{name} {format_number(sum(counts))}" for name, counts, _ in layers)
    label = escape(f"{title}. {said}.", quote=True)
    return f'<svg class="plot" width="100%" height="{height_px}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
