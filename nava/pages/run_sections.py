"""From the facts of a run to what its page's templates draw: charts, groups, rows, embedded media."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nava.pages.charts import (
    Scale,
    Series,
    Tone,
    bar,
    interval_axis,
    interval_bar,
    interval_scale,
    line_chart,
    smooth,
    stacked_bar,
    traces,
)
from nava.pages.formats import format_fixed, format_number, format_seconds, format_share
from nava.pages.media import ClipMedia, EmbedBudget, embed, read_clip
from nava.pages.run_facts import (
    ClipFacts,
    Estimate,
    MetricFacts,
    Record,
    RunPage,
    SourceFacts,
    StageFacts,
)

_STATUS_TONES: dict[str, Tone] = {"kept": "good", "dropped": "warn", "failed": "bad", "quarantined": "neutral"}
_BLOCKING = ("failed", "gate_failed", "interrupted")


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class RecordRow:
    """A record that was not kept, with its thumbnail embedded (empty without one)."""

    record: Record
    thumbnail: str


@dataclass(frozen=True)
class Player:
    """A clip ready to show: `video` is empty when it could not be embedded, and `problem` says why."""

    clip: ClipFacts
    video: str
    poster: str
    traces: str
    problem: str


@dataclass(frozen=True)
class PlayerGroup:
    """The clips that answer one prompt."""

    prompt: str
    family: str
    players: Sequence[Player]


@dataclass(frozen=True)
class MetricRow:
    """One line of a metric: what was measured, its estimate, and the interval drawn on the metric's scale."""

    label: str
    estimate: Estimate
    plot: str
    main: bool


@dataclass(frozen=True)
class MetricView:
    """A metric with its rows and their axis."""

    metric: MetricFacts
    rows: Sequence[MetricRow]
    axis: str


@dataclass(frozen=True)
class StageView:
    """A stage with its chart; `change` is the relative change of its validation loss in per cent, None if unknown."""

    stage: StageFacts
    chart: str
    change: float | None


def absence(page: RunPage) -> str:
    """The sentence that stands where a section has nothing to show."""
    if page.state == "running":
        return "Not there yet: the run is still going."
    stopped = page.failure.step if page.failure else next((s.name for s in page.steps if s.state in _BLOCKING), "")
    if page.state != "succeeded":
        return (
            f"Not reached: the run stopped at step “{stopped}”." if stopped else "Not reached: the run stopped before."
        )
    return "This run recorded nothing here."


def headline(page: RunPage) -> str:
    """One sentence: how the run ended."""
    took = f" after {format_seconds(page.duration_s)}" if page.duration_s is not None else ""
    if page.state == "running":
        done = sum(step.state == "succeeded" for step in page.steps)
        return f"The run is going: {done} of {len(page.steps)} steps are done."
    if page.state == "succeeded":
        version = page.model_version
        if version and "champion" in version.aliases:
            return f"The whole {page.pipeline} is done{took}: {version.name} version {version.version} is the champion."
        return f"The whole {page.pipeline} is done{took}."
    step = f" at step “{page.failure.step}”" if page.failure else ""
    if page.state == "gate_failed":
        return f"A gate said no{step}{took}. Nothing behind it was run or promoted."
    return f"The run failed{step}{took}."


def tiles(page: RunPage) -> list[Tile]:
    """The figures that say most, of those the run reached."""
    found = []
    if page.sources:
        kept = format_share(page.sources.kept, page.sources.total)
        found.append(
            Tile(
                "Clips kept", format_number(page.sources.kept), f"{kept} of {format_number(page.sources.total)} records"
            )
        )
    if page.stages and (view := stage_view(page.stages[-1])).change is not None:
        first, last = page.stages[-1].first_validation_loss, page.stages[-1].last_validation_loss
        found.append(
            Tile(
                "Validation loss",
                _signed_percent(view.change),
                f"{format_fixed(first)} → {format_fixed(last)}, last stage",
            )
        )
    primary = next((metric for metric in page.metrics if metric.primary and metric.estimate), None)
    if primary and primary.estimate:
        value = primary.estimate
        found.append(
            Tile(
                primary.label,
                format_fixed(value.value),
                f"95 % CI {format_fixed(value.low)} to {format_fixed(value.high)}, n = {value.n}",
            )
        )
    if page.model_version:
        aliases = ", ".join(page.model_version.aliases) or "no alias"
        found.append(
            Tile("Registered", f"version {page.model_version.version}", f"{page.model_version.name} · {aliases}")
        )
    return found


def _signed_percent(change: float) -> str:
    return f"{'+' if change > 0 else '−'}{abs(change):.0f} %"


def source_bar(sources: SourceFacts) -> str:
    """Kept, dropped, failed and quarantined as one bar."""
    counts = {name: float(getattr(sources, name)) for name in _STATUS_TONES}
    return stacked_bar([(name, counts[name], tone) for name, tone in _STATUS_TONES.items()])


def unaccounted(sources: SourceFacts) -> int:
    """Records that went in and have no status: zero unless something is wrong."""
    return sources.total - sources.kept - sources.dropped - sources.failed - sources.quarantined


def reason_rows(reasons: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Reason, count and bar, the most frequent first."""
    most = max(reasons.values(), default=0)
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return [(reason, count, bar(count, most, "warn")) for reason, count in ranked]


def share_rows(counts: Mapping[str, int], tone: Tone = "model") -> list[tuple[str, int, str]]:
    """Name, count and bar, in the order given."""
    most = max(counts.values(), default=0)
    return [(name, count, bar(count, most, tone)) for name, count in counts.items()]


def record_rows(records: Sequence[Record], budget: EmbedBudget) -> list[RecordRow]:
    """The records with their thumbnails, as far as the budget goes."""
    return [
        RecordRow(record, embed(record.thumbnail, "image/jpeg", budget) if record.thumbnail else "")
        for record in records
    ]


def stage_view(stage: StageFacts) -> StageView:
    """A stage's loss curves: training smoothed over its noise, validation as points."""
    series = []
    for curve in stage.curves:
        label = f"{curve.modality} {curve.kind}"
        if curve.kind == "train":
            series.append(Series(label, curve.points, curve.modality, "faint"))
            series.append(Series(label, smooth(curve.points), curve.modality, "line"))
        else:
            series.append(Series(label, curve.points, curve.modality, "markers"))
    first, last = stage.first_validation_loss, stage.last_validation_loss
    change = None
    if first and last is not None and math.isfinite(first) and math.isfinite(last):
        change = 100 * (last - first) / first
    chart = line_chart(series, title=f"Losses of {stage.title or stage.name}", x_label="training step")
    return StageView(stage, chart, change)


def player(clip: ClipFacts, budget: EmbedBudget) -> Player:
    """Decode a clip for its poster and traces and embed it."""
    media: ClipMedia = read_clip(clip.path)
    if media.problem:
        return Player(clip, "", "", "", media.problem)
    video = embed(clip.path, "video/mp4", budget)
    problem = "" if video else "Not embedded, to keep this page small."
    return Player(clip, video, media.poster, traces(media.picture, media.sound), problem)


def player_groups(clips: Sequence[ClipFacts], budget: EmbedBudget) -> list[PlayerGroup]:
    """Clips grouped by family and prompt, in the order of their first appearance."""
    groups: dict[tuple[str, str], list[Player]] = {}
    for clip in clips:
        groups.setdefault((clip.family, clip.prompt), []).append(player(clip, budget))
    return [PlayerGroup(prompt, family, players) for (family, prompt), players in groups.items()]


def metric_view(metric: MetricFacts) -> MetricView:
    """A metric's rows on one scale: the model's first, then what it is compared with."""
    arms = [(metric.arm, metric.estimate, True)] if metric.estimate else []
    arms += [(arm.label, arm.estimate, False) for arm in metric.arms]
    arms = [(label, e, main) for label, e, main in arms if all(map(math.isfinite, (e.value, e.low, e.high)))]
    if not arms:
        return MetricView(metric, (), "")
    bounds = [bound for bound in (metric.chance, metric.threshold) if bound is not None]
    scale: Scale = interval_scale([edge for _, e, _ in arms for edge in (e.low, e.value, e.high)], bounds)
    rows = [
        MetricRow(label, e, interval_bar(e.value, e.low, e.high, scale, "model" if main else "neutral", bounds), main)
        for label, e, main in arms
    ]
    return MetricView(metric, rows, interval_axis(scale))


def as_text(value: Mapping[str, Any] | str) -> str:
    """A mapping as indented JSON, a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
