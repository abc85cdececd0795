"""Spans along a clock, in lanes that share it: scenes and clips of a source, who speaks when in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nava.pages.charts import Scale, Tone, nice_scale
from nava.pages.formats import format_fixed
from nava.pages.shell import safe_href

_LANE_PX = 26
_LEAST_WIDTH = 0.35  # per cent of the lane: a short span of a long source can still be seen and pointed at


@dataclass(frozen=True)
class Span:
    """A piece of time.

    Attributes:
        t0_s, t1_s: where it begins and ends, in seconds.
        label: what it is, for those who point at it or cannot see it.
        tone: its colour.
        href: where it leads; empty for nowhere.
        current: the page is about it.
    """

    t0_s: float
    t1_s: float
    label: str
    tone: Tone = "neutral"
    href: str = ""
    current: bool = False


def lane(spans: Sequence[Span], end_s: float, *, playhead: bool = False) -> str:
    """One lane from 0 to `end_s` as SVG text, as wide as it is given room; `playhead` adds the line that players move.

    Spans of no length, or from a clock that is not finite, are drawn at their least width.
    """
    scale = Scale(0.0, max(end_s, 1e-6), ())
    parts = [f'<rect class="lane-track" width="100%" height="{_LANE_PX}" rx="6"/>']
    for span in sorted(spans, key=lambda one: one.current):
        left = min(100 - _LEAST_WIDTH, max(0.0, scale.percent(span.t0_s)))
        width = max(_LEAST_WIDTH, min(100.0, scale.percent(span.t1_s)) - left)
        text = f"{span.label}: {format_fixed(span.t0_s)} to {format_fixed(span.t1_s)} s"
        rect = (
            f'<rect class="span tone-{span.tone}{" is-current" if span.current else ""}" x="{left:.3f}%" y="3" '
            f'width="{width:.3f}%" height="{_LANE_PX - 6}" rx="4"><title>{escape(text)}</title></rect>'
        )
        target = escape(safe_href(span.href), quote=True)
        parts.append(f'<a href="{target}" aria-label="{escape(text, quote=True)}">{rect}</a>' if target else rect)
    if playhead:
        parts.append('<line class="playhead" x1="0" x2="0" y1="0" y2="100%"/>')
    role = "" if any(span.href for span in spans) else ' role="img"'
    said = escape("; ".join(span.label for span in spans[:20]), quote=True)
    return f'<svg class="lane" width="100%" height="{_LANE_PX}"{role} aria-label="{said}">{"".join(parts)}</svg>'


def clock(end_s: float) -> str:
    """The seconds under lanes that end at `end_s`."""
    scale = nice_scale(0.0, max(end_s, 1e-6), ticks=6, pad=False)
    parts = []
    for tick in scale.ticks:
        at = scale.percent(tick)
        anchor = "start" if at < 2 else "end" if at > 96 else "middle"
        text = f"{format_fixed(tick, 0 if float(tick).is_integer() else 1)} s"
        parts.append(f'<text class="tick" x="{at:.2f}%" y="13" text-anchor="{anchor}">{text}</text>')
    return f'<svg class="lane" width="100%" height="18" aria-hidden="true">{"".join(parts)}</svg>'
