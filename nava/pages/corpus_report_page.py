"""The report on a curated corpus: what went in and what became of it, what was measured, what it cost, every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from nava.pages.charts import Tone, bar, histogram, stacked_bar
from nava.pages.clip_page import MediaFacts
from nava.pages.formats import format_fixed, format_number, format_seconds, format_share
from nava.pages.shell import render

STATUSES = {
    "": "all",
    "kept": "kept",
    "not_kept": "not kept",
    "dropped": "dropped",
    "failed": "failed",
    "quarantined": "quarantined",
}
_TONES: dict[str, Tone] = {"kept": "good", "dropped": "warn", "failed": "bad", "quarantined": "neutral"}
_LISTED_CATEGORIES = 14
_LISTED_IGNORED = 200
CLIPS_PATH = "/clips"


@dataclass(frozen=True)
class ClipCard:
    """A record in a gallery or a table: `text` is its caption, or why it was not kept."""

    clip_id: str
    href: str
    status: str
    reason: str
    source: str
    text: str
    media: MediaFacts


@dataclass(frozen=True)
class StageFacts:
    """What a stage did.

    Attributes:
        entered: records that were open before it. closed: those it closed, by reason.
        cpu_s: CPU seconds, None where nobody recorded them. media_s: seconds of media it looked at.
    """

    name: str
    version: str
    entered: int
    closed: Mapping[str, int]
    cpu_s: float | None
    media_s: float


@dataclass(frozen=True)
class DistributionFacts:
    """A score over all records: counts per bin, of the kept ones and of the others.

    Attributes:
        edges: of the bins; the outermost take what lies beyond.
        bounds: what the filters hold it against. missing: records without a value. median: of the kept ones.
    """

    column: str
    label: str
    unit: str
    edges: Sequence[float]
    kept: Sequence[int]
    not_kept: Sequence[int]
    bounds: Sequence[float]
    missing: int
    median: float | None


@dataclass(frozen=True)
class CategoryFacts:
    """Kept clips by a named property, most frequent first; `backends` gave the names."""

    label: str
    counts: Mapping[str, int]
    backends: Sequence[str] = ()


@dataclass(frozen=True)
class GateFacts:
    """A verdict: `failed` are its broken rules, `outdated` says that the clips are newer."""

    passed: bool
    rules: int
    failed: Sequence[str]
    outdated: bool
    href: str


@dataclass(frozen=True)
class CorpusReport:
    """A curated corpus.

    Attributes:
        name, folder: of the corpus. counts: `in`, `kept`, `dropped`, `failed`, `quarantined`.
        sources: media files. kept_s: seconds of kept clips by modality. source_s: seconds of source that records span.
        reasons: of what was not kept. ignored: entries that are no sources, by reason; ignored_files: (path, reason,
        detail) of each.
        stages: in their order. cpu_s: of all stages, None where nobody recorded it.
        distributions, categories: of the records. gate: None where nobody validated the corpus.
        gallery: kept clips. records: some or all of those that were not kept.
        facts: what it was made with.
    """

    name: str
    folder: str
    counts: Mapping[str, int]
    sources: int
    kept_s: Mapping[str, float]
    source_s: float
    reasons: Mapping[str, int]
    ignored: Mapping[str, int]
    ignored_files: Sequence[tuple[str, str, str]]
    stages: Sequence[StageFacts]
    cpu_s: float | None
    distributions: Sequence[DistributionFacts]
    categories: Sequence[CategoryFacts]
    gate: GateFacts | None
    gallery: Sequence[ClipCard]
    records: Sequence[ClipCard]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class RecordQuery:
    """What of the records is asked for."""

    status: str = ""
    reason: str = ""
    words: str = ""
    page: int = 1

    def href(self, page: int) -> str:
        """Address of another page of the same question."""
        asked = {"status": self.status, "reason": self.reason, "words": self.words, "page": str(page)}
        return f"{CLIPS_PATH}?{urlencode({name: value for name, value in asked.items() if value})}"


def render_corpus_report(report: CorpusReport, *, on_server: bool = False) -> str:
    """Render the report as one HTML page.

    Args:
        report: the facts.
        on_server: whether the report server gives the page: records are linked and searched there. Else it is one file
            that loads nothing but itself.

    Returns:
        HTML text. All values are escaped.
    """
    return render(
        "corpus_report.html.j2",
        script=True,
        on_server=on_server,
        title=f"Corpus {report.name}",
        report=report,
        tiles=_tiles(report),
        account_bar=stacked_bar([(name, float(report.counts[name]), tone) for name, tone in _TONES.items()]),
        reasons=_linked_rows(report.reasons, on_server),
        ignored=[
            (name, count, bar(count, max(report.ignored.values()), "neutral")) for name, count in report.ignored.items()
        ],
        ignored_files=report.ignored_files[:_LISTED_IGNORED],
        stages=_stage_rows(report),
        distributions=[_distribution(one) for one in report.distributions],
        categories=[_category(one) for one in report.categories if one.counts],
        statuses=list(STATUSES.items()),
        query=RecordQuery(status="not_kept"),
        not_kept=report.counts["in"] - report.counts["kept"],
    )


def render_record_list(
    name: str, query: RecordQuery, cards: Sequence[ClipCard], found: int, pages: int, reasons: Mapping[str, int]
) -> str:
    """Render one page of the records that a question finds, for the report server.

    Args:
        name: of the corpus.
        query: the question.
        cards: the records on this page.
        found: how many there are on all pages.
        pages: how many pages.
        reasons: to choose from, with their counts.
    """
    return render(
        "corpus_clips.html.j2",
        on_server=True,
        title=f"Records of {name}",
        name=name,
        query=query,
        cards=cards,
        found=found,
        pages=pages,
        reasons=reasons,
        statuses=list(STATUSES.items()),
        before=query.href(query.page - 1) if query.page > 1 else "",
        after=query.href(query.page + 1) if query.page < pages else "",
    )


def _tiles(report: CorpusReport) -> list[dict[str, str]]:
    counts, kept_s = report.counts, sum(report.kept_s.values())
    tiles = [
        {
            "label": "Kept clips",
            "value": format_number(counts["kept"]),
            "detail": f"{format_share(counts['kept'], counts['in'])} of {format_number(counts['in'])} records",
        },
        {
            "label": "Kept media",
            "value": format_seconds(kept_s),
            "detail": ", ".join(f"{format_seconds(seconds)} {name}" for name, seconds in report.kept_s.items()),
        },
        {
            "label": "Source files",
            "value": format_number(report.sources),
            "detail": f"{format_number(sum(report.ignored.values()))} other entries ignored",
        },
    ]
    if report.cpu_s:
        tiles.append(
            {
                "label": "Media per core-second",
                "value": f"{format_number(report.source_s / report.cpu_s, 2)} s",
                "detail": f"{format_seconds(report.source_s)} of source in {format_seconds(report.cpu_s)} of CPU",
            }
        )
    return tiles


def _linked_rows(counts: Mapping[str, int], on_server: bool) -> list[tuple[str, int, str, str]]:
    """Reason, count, bar and where its records are listed."""
    most = max(counts.values(), default=0)
    return [
        (name, count, bar(count, most, "warn"), RecordQuery("not_kept", name).href(1) if on_server else "")
        for name, count in counts.items()
    ]


def _stage_rows(report: CorpusReport) -> list[dict[str, Any]]:
    """Each stage with what came through it and what it cost."""
    slowest = max((stage.cpu_s or 0.0 for stage in report.stages), default=0.0)
    rows = []
    for stage in report.stages:
        left = stage.entered - sum(stage.closed.values())
        speed = stage.media_s / stage.cpu_s if stage.cpu_s else None
        rows.append(
            {
                "stage": stage,
                "left": left,
                "through": bar(left, report.counts["in"], "good"),
                "closed": ", ".join(f"{count} {reason}" for reason, count in stage.closed.items()),
                "cpu": format_fixed(stage.cpu_s, 2) if stage.cpu_s is not None else "",
                "cost": bar(stage.cpu_s, slowest, "model") if stage.cpu_s else "",
                "speed": format_number(speed) if speed is not None else "",
            }
        )
    return rows


def _distribution(one: DistributionFacts) -> dict[str, Any]:
    unit = f", {one.unit}" if one.unit else ""
    layers: list[tuple[str, Sequence[int], Tone]] = [("kept", one.kept, "good"), ("not kept", one.not_kept, "warn")]
    chart = histogram(
        one.edges, layers, title=f"{one.label} of the records", x_label=f"{one.label.lower()}{unit}", bounds=one.bounds
    )
    return {"facts": one, "chart": chart, "median": format_number(one.median)}


def _category(one: CategoryFacts) -> dict[str, Any]:
    most = max(one.counts.values())
    shown = list(one.counts.items())[:_LISTED_CATEGORIES]
    rows = [(name or "(none)", count, bar(count, most, "model")) for name, count in shown]
    return {
        "facts": replace(one, backends=[name for name in one.backends if name]),
        "rows": rows,
        "left": len(one.counts) - len(rows),
    }
