"""The page of one clip: its player, its place in the source, every score with its bound, its words, its kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nava.pages.charts import score_bar
from nava.pages.formats import format_fixed, format_number, format_value
from nava.pages.shell import render
from nava.pages.timeline import Span, clock, lane

Shape = Literal["wide", "tall", "square"]
_UNPROVEN = "unproven"


@dataclass(frozen=True)
class MediaFacts:
    """What a page can show of a record; each is an address, and empty where there is none.

    Attributes:
        video: picture with sound. sound: sound alone, where there is no video. poster: a still.
        note: why something is missing, or what is shown instead.
        shape: of the picture.
        traces: brightness and loudness over the clip, as SVG.
    """

    video: str = ""
    sound: str = ""
    poster: str = ""
    note: str = ""
    shape: Shape = "square"
    traces: str = ""


@dataclass(frozen=True)
class ScoreCheck:
    """A score and what it was held against.

    Attributes:
        label, column, unit: of the score. value: None where it was not measured.
        bound: the threshold, None where there is none; the sizes of offsets count. kind: `at least`, `at most`.
        passed: None where the rule does not apply or nothing is recorded.
        reason: why a clip is dropped that does not pass, or what the rule is part of.
        note: more about it.
        span: ends of the bar on which it is drawn. usual: the range of most records of the corpus.
        rank: share of the records measured that have a lower value.
    """

    label: str
    column: str
    value: float | None
    unit: str = ""
    bound: float | None = None
    kind: str = ""
    passed: bool | None = None
    reason: str = ""
    note: str = ""
    span: tuple[float, float] | None = None
    usual: tuple[float, float] | None = None
    rank: float | None = None


@dataclass(frozen=True)
class Utterance:
    """What somebody says, in seconds of the clip's clock; the text is empty where nobody transcribed it."""

    speaker: str
    t0_s: float
    t1_s: float
    text: str


@dataclass(frozen=True)
class TagGroup:
    """Tags of one kind, and who gave them."""

    label: str
    tags: Sequence[str]
    backend: str

    @property
    def unproven(self) -> bool:
        """Whether the backend has never run on what it is meant for."""
        return _UNPROVEN in self.backend


@dataclass(frozen=True)
class RelatedClip:
    """A record that this one repeats, or that repeats it."""

    clip_id: str
    href: str
    source: str
    status: str
    cosine: float | None
    media: MediaFacts


@dataclass(frozen=True)
class FileFacts:
    """A file of the clip: `state` says whether its bytes are those of the manifest."""

    label: str
    path: str
    sha256: str
    state: str


@dataclass(frozen=True)
class ClipPage:
    """Everything known of one record.

    Attributes:
        corpus, corpus_href: the corpus it belongs to, and its report.
        status, reason, sentence: how it ended and why, in words.
        also: further reasons for which it would not have been kept.
        media: what can be shown.
        caption, caption_backend, caption_model, prompt: its words; empty where nobody wrote them.
        speech, speech_backend: who says what when. duration_s: of the clip.
        tags: by kind.
        source: facts about the file it comes from.
        scenes, clips: of the source. source_end_s: where the last of them ends.
        checks: the filters. scores: what no filter looks at. subset_checks: what the subsets of later stages ask.
        related, related_label, related_more: duplicates, what they are, and how many more there are.
        form: size, length, codecs. files: with their hashes. stages: versions by stage. made_by: program and settings.
    """

    corpus: str
    corpus_href: str
    clip_id: str
    status: str
    reason: str
    sentence: str
    also: Sequence[str]
    media: MediaFacts
    duration_s: float | None
    caption: str
    caption_backend: str
    caption_model: str
    prompt: str
    speech: Sequence[Utterance]
    speech_backend: str
    tags: Sequence[TagGroup]
    source: dict[str, Any]
    scenes: Sequence[Span]
    clips: Sequence[Span]
    source_end_s: float
    checks: Sequence[ScoreCheck]
    scores: Sequence[ScoreCheck]
    subset_checks: Sequence[ScoreCheck]
    related: Sequence[RelatedClip]
    related_label: str
    related_more: int
    form: dict[str, Any]
    files: Sequence[FileFacts]
    stages: dict[str, str] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)


def render_clip_page(page: ClipPage, *, on_server: bool = False) -> str:
    """Render the page of a record.

    Args:
        page: the facts.
        on_server: whether a server gives the page; else it is one file that loads nothing but itself.

    Returns:
        HTML text. All values are escaped.
    """
    unmeasured = all(check.value is None for check in page.checks)
    return render(
        "clip_page.html.j2",
        script=True,
        on_server=on_server,
        title=f"Clip {page.clip_id[:12]}",
        page=page,
        speech_lanes=_speech_lanes(page),
        place=_place(page),
        unmeasured=unmeasured,
        groups=[
            ("What the filters look at", [] if unmeasured else _views(page.checks)),
            ("Measured, and no filter looks at it alone", _views(page.scores)),
            ("What the subsets for stages 2 and 3 ask", _views(page.subset_checks)),
        ],
    )


def _speech_lanes(page: ClipPage) -> list[tuple[str, str]]:
    """A lane for every speaker, in the order in which they begin, and the clock."""
    if not page.speech or not page.duration_s:
        return []
    spans: dict[str, list[Span]] = {}
    for one in page.speech:
        label = f"{one.speaker} says “{one.text}”" if one.text else f"{one.speaker} speaks"
        spans.setdefault(one.speaker, []).append(Span(one.t0_s, one.t1_s, label, "audio"))
    lanes = [(name, lane(its, page.duration_s, playhead=True)) for name, its in spans.items()]
    return [*lanes, ("", clock(page.duration_s))]


def _place(page: ClipPage) -> list[tuple[str, str]]:
    if not page.source_end_s:
        return []
    lanes = [("Scenes", page.scenes), ("Clips", page.clips)]
    drawn = [(name, lane(spans, page.source_end_s)) for name, spans in lanes if spans]
    return [*drawn, ("", clock(page.source_end_s))]


def score_text(value: float | None, column: str) -> str:
    """A score as it is written: counts whole, offsets with their sign, the rest to three digits."""
    if value is not None and column == "av_offset_s":
        return f"{'+' if value > 0 else ''}{format_fixed(value, 3)}"
    return format_number(value)


def _views(checks: Sequence[ScoreCheck]) -> list[dict[str, Any]]:
    return [
        {
            "check": check,
            "value": score_text(check.value, check.column),
            "bound": bound_text(check),
            "state": {True: "passed", False: "failed", None: "skipped"}[check.passed],
            "plot": _plot(check),
        }
        for check in checks
    ]


def bound_text(check: ScoreCheck) -> str:
    """The threshold as it is written; empty where there is none."""
    size = "±" if check.column == "av_offset_s" else ""
    return "" if check.bound is None else f"{check.kind} {size}{format_value(check.bound)}"


def _plot(check: ScoreCheck) -> str:
    if check.value is None or check.span is None or check.usual is None:
        return ""
    bounds = [] if check.bound is None else [check.bound]
    if check.column == "av_offset_s":
        bounds += [-bound for bound in bounds]
    return score_bar(check.value, *check.span, check.usual, bounds)
