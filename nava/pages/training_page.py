"""The page of one stage's training: its curves, what happened on the way, and clips it made. One HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nava.pages.charts import Point, Series, Tone, line_chart, smooth
from nava.pages.media import EmbedBudget
from nava.pages.run_facts import ClipFacts
from nava.pages.run_sections import player_groups
from nava.pages.shell import render

_CLIP_BYTES = 6_000_000
_TONES: dict[str, Tone] = {"video": "video", "audio": "audio"}
# Tones that are told apart beside each other.
_OTHER_TONES: tuple[Tone, ...] = ("video", "audio", "good", "bad", "neutral")
BADGES = {
    "finished": "succeeded",
    "running": "running",
    "failed": "failed",
    "interrupted": "failed",
    "stopped": "skipped",
    "not started": "skipped",
}


@dataclass(frozen=True)
class TrainingPage:
    """What the page shows.

    Attributes:
        status: as `RunStatus.to_json` gives it.
        tiles: label, value and detail of each.
        rows: of `metrics.jsonl`.
        events: when (step), what, and details, in order.
        validation: (step, loss) of every validation.
        samples: clips, the newest steps first.
        facts: settings by name.
        config: the resolved configuration as text.
    """

    status: Mapping[str, Any]
    tiles: Sequence[Mapping[str, str]]
    rows: Sequence[Mapping[str, Any]]
    events: Sequence[tuple[int, str, str]]
    validation: Sequence[Point]
    samples: Sequence[ClipFacts] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart with its title and the names of its lines."""

    title: str
    note: str
    svg: str
    legend: Sequence[tuple[str, Tone]]


def render_training(page: TrainingPage, *, clip_bytes: int = _CLIP_BYTES) -> str:
    """Render the page of a stage's training.

    Args:
        page: what happened.
        clip_bytes: how much of the page clips may take, as base64 text; those beyond are linked instead.

    Returns:
        HTML text that refers to nothing outside itself. All values are escaped.
    """
    status = page.status
    return render(
        "training.html.j2",
        script=True,
        title=f"Training of {status['recipe']}, stage {status['stage']}",
        page=page,
        badge_state=BADGES.get(status["state"], "skipped"),
        charts=[chart for chart in charts(page.rows, page.validation) if chart.svg],
        groups=player_groups(page.samples, EmbedBudget(clip_bytes)),
    )


def charts(rows: Sequence[Mapping[str, Any]], validation: Sequence[Point]) -> list[Chart]:
    """The curves of a run."""
    names = {name for row in rows for name in row}
    tasks = sorted(name for name in names if name.startswith("loss_") and name.count("_") == 2)
    bands = [name for name in tasks if name.split("_")[1] in ("video", "audio")]
    losses = {"video": "loss_video", "audio": "loss_audio"}
    drops = {name.removesuffix("_share").replace("_", " "): name for name in sorted(names) if name.endswith("_share")}
    both = "Mean squared error of the velocity, smoothed"
    return [
        _loss_chart(rows, validation),
        _chart(rows, "Loss by modality", both, losses, raw=True),
        _chart(rows, "Video loss by task", both, _tasks(tasks, bands, "video")),
        _chart(rows, "Audio loss by task", both, _tasks(tasks, bands, "audio")),
        _chart(rows, "Video loss by noise level", f"{both}; low is nearly clean", _of(bands, "video")),
        _chart(rows, "Audio loss by noise level", f"{both}; low is nearly clean", _of(bands, "audio")),
        _chart(rows, "Learning rate", "Of the optimizer", {"learning rate": "lr"}, exact=True),
        _chart(rows, "Gradient norm", "Before clipping", {"gradient norm": "grad_norm"}, raw=True),
        _chart(rows, "Speed", "Tokens per second over all processes", {"tokens/s": "tokens_per_s"}, raw=True),
        _chart(rows, "Dropped and given", "Share of samples, as it occurred", drops),
    ]


def _of(bands: Sequence[str], modality: str) -> dict[str, str]:
    order = ("low", "middle", "high", "noise")
    named = {name.split("_")[2]: name for name in bands if name.split("_")[1] == modality}
    return {band: named[band] for band in order if band in named}


def _tasks(names: Sequence[str], bands: Sequence[str], modality: str) -> dict[str, str]:
    """Of `loss_t2av_video` and its like, those of a modality by task."""
    parts = {name: name.split("_") for name in names if name not in bands}
    return {task.upper(): name for name, (_, task, of) in parts.items() if of == modality}


def _loss_chart(rows: Sequence[Mapping[str, Any]], validation: Sequence[Point]) -> Chart:
    points = _points(rows, "loss")
    series = [
        Series("training, each step", points, "model", "faint"),
        Series("training", smooth(points), "model", "line"),
        Series("validation", validation, "good", "markers"),
    ]
    legend: list[tuple[str, Tone]] = [("training, smoothed", "model")]
    if validation:
        legend.append(("validation of the averaged weights", "good"))
    svg = line_chart(series, title="Loss", x_label="optimizer step")
    return Chart("Loss", "What is minimised", svg, legend)


def _chart(
    rows: Sequence[Mapping[str, Any]],
    title: str,
    note: str,
    names: Mapping[str, str],
    *,
    raw: bool = False,
    exact: bool = False,
) -> Chart:
    """Lines by label; `raw` draws each step behind the smoothed line, `exact` smooths nothing."""
    series, legend = [], []
    for number, (label, name) in enumerate(names.items()):
        points = _points(rows, name)
        if not points:
            continue
        tone = _TONES.get(label, _OTHER_TONES[number % len(_OTHER_TONES)])
        if raw:
            series.append(Series(label, points, tone, "faint"))
        series.append(Series(label, points if exact else smooth(points), tone, "line"))
        legend.append((label, tone))
    return Chart(title, note, line_chart(series, title=title, x_label="optimizer step"), legend)


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return [(float(row["step"]), float(row[name])) for row in rows if row.get(name) is not None]
