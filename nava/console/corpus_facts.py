"""The facts of the report on a curated folder, from its tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import ClipRow, Modality, Status, count_reasons, count_statuses
from nava.artifacts.source_manifest import count_ignored
from nava.console.clip_checks import SCORE_RULES, UNBOUND
from nava.console.clip_media_links import MediaLinks, media_facts, still_facts
from nava.console.curated_folder import CuratedFolder
from nava.pages.corpus_report_page import (
    CategoryFacts,
    ClipCard,
    CorpusReport,
    DistributionFacts,
    GateFacts,
    RecordQuery,
    StageFacts,
)

# In the order in which a curation runs them; a test holds it against the plan. `worker_pool` and stages of one's own
# come before the filters.
STAGE_ORDER = (
    "integrity",
    "scenes",
    "windows",
    "bars",
    "text",
    "transcode",
    "picture",
    "sound",
    "synchrony",
    "signature",
    "filters",
    "duplicates",
    "speech",
    "audio_tags",
    "visual_tags",
    "captions",
    "prompts",
    "split",
    "subsets",
)
_FILTERS = STAGE_ORDER.index("filters")
_BINS = 24
_US = 1_000_000
_CATEGORIES = (
    ("Captioner's tags", "tags", "caption_backend"),
    ("Sound", "audio_tags", "audio_tag_backend"),
    ("Picture", "visual_tags", "visual_tag_backend"),
    ("Speakers", "speakers", "asr_backend"),
    ("Modality", "modality", ""),
    ("Bucket", "bucket", ""),
    ("Subset", "subsets", ""),
    ("Split", "split", ""),
    ("Licence", "licence", ""),
    ("Origin", "origin", ""),
    ("Collection", "collection", ""),
)
_MODALITY_WORDS = {"av": "with pictures", "audio": "sound alone"}


@dataclass(frozen=True)
class ReportSize:
    """How much of a corpus its report shows: clips in the gallery, records that were not kept."""

    gallery: int
    records: int


def corpus_report(folder: CuratedFolder, links: MediaLinks, size: ReportSize, gate_href: str = "") -> CorpusReport:
    """The facts of the report.

    Args:
        folder: the corpus.
        links: where the page finds records and media.
        size: how much of them it shows.
        gate_href: where the page of the verdict is; empty for nowhere.
    """
    outcomes = [
        {"status": status, "drop_reason": reason}
        for status, reason in zip(folder.column("status"), folder.column("drop_reason"), strict=True)
    ]
    kept = np.asarray([one["status"] == Status.KEPT for one in outcomes], dtype=bool)
    cpu_s: Mapping[str, float] = folder.cost.get("cpu_s", {})
    return CorpusReport(
        name=folder.path.name,
        folder=str(folder.path),
        counts=count_statuses(outcomes),
        sources=len(folder.sources) or len(set(folder.column("src_id"))),
        kept_s=_kept_seconds(folder, kept),
        source_s=_source_seconds(folder),
        reasons=count_reasons(outcomes),
        ignored=count_ignored(folder.ignored),
        ignored_files=[(one.path, str(one.reason), one.detail or one.duplicate_of or "") for one in folder.ignored],
        stages=_stages(folder, cpu_s),
        cpu_s=sum(cpu_s.values()) if cpu_s else None,
        distributions=_distributions(folder, kept),
        categories=[_category(folder, kept, *names) for names in _CATEGORIES],
        gate=_gate(folder, gate_href),
        gallery=_gallery(folder, kept, links, size.gallery),
        records=cards(folder, folder.select(status="not_kept")[: size.records], links),
        facts=_facts(folder),
    )


def cards(
    folder: CuratedFolder, positions: Sequence[int], links: MediaLinks, *, players: bool = False
) -> list[ClipCard]:
    """The records at these positions, with a thumbnail, or with a player."""
    return [_card(folder, row, links, players) for row in folder.rows(positions)]


def record_page(
    folder: CuratedFolder, query: RecordQuery, links: MediaLinks, page_size: int
) -> tuple[list[ClipCard], int, int]:
    """The records of one page of a question, how many there are on all, and how many pages."""
    found = folder.select(query.status, query.reason, query.words)
    pages = max(1, -(-len(found) // page_size))
    start = (min(query.page, pages) - 1) * page_size
    return cards(folder, found[start : start + page_size], links, players=query.status == "kept"), len(found), pages


def _card(folder: CuratedFolder, row: ClipRow, links: MediaLinks, players: bool) -> ClipCard:
    facts = media_facts(folder, row, links) if players else still_facts(folder, row, links)
    text = row["caption"] if row["status"] == Status.KEPT else row["detail"]
    return ClipCard(
        row["clip_id"],
        links.clip(row["clip_id"]),
        row["status"],
        row["drop_reason"] or "",
        row["src_path"],
        text or "",
        facts,
    )


def _gallery(folder: CuratedFolder, kept: npt.NDArray[np.bool_], links: MediaLinks, size: int) -> list[ClipCard]:
    """Kept clips at equal distances over the manifest, with players or else with thumbnails."""
    # Without players only pictures are worth a place; most thumbnails lie where the curation worked.
    named = [
        links.players or (modality == Modality.AUDIO_VIDEO and (name is not None or folder.work is not None))
        for name, modality in zip(folder.column("thumbnail_path"), folder.column("modality"), strict=True)
    ]
    positions = np.flatnonzero(kept & np.asarray(named, dtype=bool))
    chosen = positions[np.unique(np.linspace(0, len(positions) - 1, min(size, len(positions))).round().astype(int))]
    return cards(folder, chosen.tolist(), links, players=links.players)


def _kept_seconds(folder: CuratedFolder, kept: npt.NDArray[np.bool_]) -> dict[str, float]:
    seconds: defaultdict[str, float] = defaultdict(float)
    for is_kept, modality, duration_s in zip(kept, folder.column("modality"), folder.column("duration_s"), strict=True):
        if is_kept:
            seconds[_MODALITY_WORDS.get(modality, modality)] += duration_s or 0.0
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _source_seconds(folder: CuratedFolder) -> float:
    """How much of the sources the records span: to the end of the last scene or clip, or the whole file's length."""
    ends: dict[str, float] = {}
    columns = ("src_id", "scene_t1_us", "t1_us", "t0_us", "duration_s")
    for src_id, scene_us, end_us, start_us, whole_s in zip(*(folder.column(name) for name in columns), strict=True):
        end_s = max(scene_us or 0, end_us or 0) / _US or (whole_s or 0.0 if start_us is None else 0.0)
        ends[src_id] = max(ends.get(src_id, 0.0), end_s)
    return sum(ends.values())


def _stages(folder: CuratedFolder, cpu_s: Mapping[str, float]) -> list[StageFacts]:
    """Every stage with what it closed, in order."""
    closed: dict[str, Counter[str]] = {}
    clip_s: dict[str, float] = {}
    columns = ("stage", "status", "drop_reason", "duration_s")
    for stage, status, reason, duration_s in zip(*(folder.column(name) for name in columns), strict=True):
        if status != Status.KEPT:
            closed.setdefault(stage, Counter())[reason] += 1
            clip_s[stage] = clip_s.get(stage, 0.0) + (duration_s or 0.0)
    versions = folder.record.get("stage_versions", {})
    names = {*versions, *closed, *cpu_s}
    source_s, open_s, left = (
        _source_seconds(folder),
        sum(value or 0.0 for value in folder.column("duration_s")),
        len(folder),
    )
    stages = []
    for name in sorted(names, key=_stage_rank):
        media_s = source_s if _stage_rank(name)[0] < _FILTERS else open_s
        its = dict(closed.get(name, Counter()).most_common())
        stages.append(StageFacts(name, versions.get(name, ""), left, its, cpu_s.get(name), media_s))
        left -= sum(its.values())
        open_s -= clip_s.get(name, 0.0)
    return stages


def _stage_rank(name: str) -> tuple[float, str]:
    return (STAGE_ORDER.index(name) if name in STAGE_ORDER else _FILTERS - 0.5, name)


def _distributions(folder: CuratedFolder, kept: npt.NDArray[np.bool_]) -> list[DistributionFacts]:
    filters = folder.setting("curation", "filters") or {}
    named: list[tuple[str, str, str, tuple[float, ...]]] = [("duration_s", "Length", "s", ())]
    named += [(rule.column, rule.label, rule.unit, _bounds(filters, rule.setting)) for rule in SCORE_RULES]
    named += [("av_offset_s", "Sound against picture", "s", _bounds(filters, "max_av_offset_s", both=True))]
    named += [
        (column, *UNBOUND[column], _bounds(filters, "min_av_conf") if column == "av_conf" else ())
        for column in ("av_conf", "motion", "peak_db", "speech_ratio")
    ]
    found = [_distribution(folder, kept, *names) for names in named]
    return [one for one in found if one is not None]


def _bounds(filters: Mapping[str, float], setting: str, both: bool = False) -> tuple[float, ...]:
    bound = filters.get(setting)
    return () if bound is None else (-bound, bound) if both else (bound,)


def _distribution(
    folder: CuratedFolder,
    kept: npt.NDArray[np.bool_],
    column: str,
    label: str,
    unit: str,
    bounds: tuple[float, ...],
) -> DistributionFacts | None:
    values = np.asarray([np.nan if value is None else value for value in folder.column(column)], dtype=np.float64)
    measured = np.isfinite(values)
    if not measured.any():
        return None
    low, high = np.quantile(values[measured], [0.01, 0.99])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    inside = np.clip(values, low, high)
    counts = [np.histogram(inside[measured & part], edges)[0].tolist() for part in (kept, ~kept)]
    median = float(np.median(values[measured & kept])) if (measured & kept).any() else None
    return DistributionFacts(
        column, label, unit, edges.tolist(), counts[0], counts[1], bounds, int((~measured).sum()), median
    )


def _category(
    folder: CuratedFolder, kept: npt.NDArray[np.bool_], label: str, column: str, backend: str
) -> CategoryFacts:
    counts: Counter[str] = Counter()
    for is_kept, value in zip(kept, folder.column(column), strict=True):
        if is_kept:
            names: list[Any] = value if isinstance(value, list) else [value]
            counts.update("" if name is None else str(name) for name in names)
    if set(counts) <= {""}:
        counts.clear()
    backends = folder.column(backend) if backend else []
    named = {name for name, is_kept in zip(backends, kept, strict=False) if name and is_kept}
    return CategoryFacts(label, dict(counts.most_common()), sorted(named))


def _gate(folder: CuratedFolder, href: str) -> GateFacts | None:
    verdict = folder.verdict()
    if verdict is None:
        return None
    failed = [str(rule["rule"]) for rule in verdict["rules"] if rule["passed"] is False]
    return GateFacts(bool(verdict["passed"]), len(verdict["rules"]), failed, verdict["outdated"], href)


def _facts(folder: CuratedFolder) -> dict[str, Any]:
    """What the corpus was made with, and the thresholds of its filters."""
    created = sorted({name for name in folder.column("created_by") if name})
    facts: dict[str, Any] = {"program": ", ".join(created)} if created else {}
    facts |= folder.setting("curation", "filters") or {}
    settings = folder.record.get("config_sha256")
    return facts | ({"settings sha256": settings} if settings else {})
