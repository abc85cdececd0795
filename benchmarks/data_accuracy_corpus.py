"""A curated corpus beside the truth about its sources: which shot a clip shows, what is said in it, what is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nava.artifacts.clip_manifest import read_clips
from nava.data.synthetic.labels import EXPECTED_OUTCOMES, FileLabel, ShotLabel, read_labels

Row = dict[str, Any]
MIN_HEARD_S = 0.2  # a speaker who is heard for less is not counted
Span = tuple[float, float]


@dataclass(frozen=True)
class Clip:
    """A record with a place in a source, and the truth about it; times are seconds of the source."""

    row: Row
    label: FileLabel

    @property
    def t0_s(self) -> float:
        """Where it begins."""
        return float(self.row["t0_us"]) / 1e6

    @property
    def t1_s(self) -> float:
        """Where it ends."""
        return float(self.row["t1_us"]) / 1e6

    @property
    def where(self) -> str:
        """For people: the source, the times, the id and what became of it."""
        reason = self.row.get("drop_reason") or self.row["status"]
        return f"{self.row['src_path']} {self.t0_s:.2f}-{self.t1_s:.2f} s ({self.row['clip_id']}, {reason})"

    @property
    def shot(self) -> ShotLabel:
        """The shot that most of it shows."""
        return max(self.label.shots, key=lambda shot: overlap((shot.start_s, shot.end_s), (self.t0_s, self.t1_s)))

    @property
    def speech(self) -> list[Span]:
        """When somebody speaks, merged, in seconds of the source, cut to the clip."""
        words = [(word.start_s, word.end_s) for part in self.label.transcript for word in part.words]
        return clip_spans(merge_spans(words), (self.t0_s, self.t1_s))

    @property
    def speakers(self) -> int:
        """How many voices are heard."""
        heard_s: dict[str, float] = defaultdict(float)
        for part in self.label.transcript:
            heard_s[part.speaker] += overlap((part.start_s, part.end_s), (self.t0_s, self.t1_s))
        return sum(seconds >= MIN_HEARD_S for seconds in heard_s.values())

    @property
    def text_s(self) -> float:
        """For how long text stands in the picture."""
        spans = merge_spans([(part.start_s, part.end_s) for part in self.label.subtitles])
        return sum(end - start for start, end in clip_spans(spans, (self.t0_s, self.t1_s)))


def overlap(one: Span, other: Span) -> float:
    """Seconds that both cover."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def merge_spans(spans: Sequence[Span], gap_s: float = 0.0) -> list[Span]:
    """Spans in order, those that touch or are at most `gap_s` apart as one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + gap_s:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def clip_spans(spans: Sequence[Span], to: Span) -> list[Span]:
    """The parts of spans inside another."""
    return [(max(span[0], to[0]), min(span[1], to[1])) for span in spans if overlap(span, to) > 0]


@dataclass(frozen=True)
class Corpus:
    """Labels and records by path of the source.

    Attributes:
        min_av_conf: from which confidence an offset is believed.
    """

    labels: Mapping[str, FileLabel]
    rows: Mapping[str, Sequence[Row]]
    min_av_conf: float

    def records(self) -> Iterator[tuple[FileLabel, Sequence[Row]]]:
        """Every labelled source with its records, by path; none if curation lost it."""
        for path in sorted(self.labels):
            yield self.labels[path], self.rows.get(path, ())

    def clips(self) -> list[Clip]:
        """Every clip of a video source."""
        found = [Clip(row, label) for label, rows in self.records() for row in rows if row.get("t1_us") is not None]
        return [clip for clip in found if clip.label.modality == "video" and clip.label.shots]

    def recordings(self) -> list[Clip]:
        """Every clip of an audio-only source."""
        found = [Clip(row, label) for label, rows in self.records() for row in rows if row.get("t1_us") is not None]
        return [clip for clip in found if clip.label.modality == "audio"]


def expected(label: FileLabel) -> tuple[str, tuple[str, ...]]:
    """The status a source's records should have, and the reasons that are right."""
    return EXPECTED_OUTCOMES[label.defect]


def read_corpus(folder: Path, labels: Path, min_av_conf: float, name: str = "") -> Corpus:
    """The curated corpus in `folder` beside the labels in the folder (or file `labels.jsonl`) `labels`.

    Args:
        name: put before every path, so that several corpora can be pooled.

    Raises:
        FileNotFoundError: no manifest or no labels there.
        ValueError: either is of another schema version.
    """
    prefix = f"{name}/" if name else ""
    truth = {}
    for label in read_labels(labels.parent if labels.is_file() else labels):
        copied = f"{prefix}{label.duplicate_of}" if label.duplicate_of else ""
        truth[f"{prefix}{label.path}"] = replace(label, path=f"{prefix}{label.path}", duplicate_of=copied)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in read_clips(folder).to_pylist():
        path = f"{prefix}{row['src_path']}"
        rows[path].append({**row, "src_path": path})
    return Corpus(truth, rows, min_av_conf)


def pool(corpora: Sequence[Corpus]) -> Corpus:
    """Several corpora, whose paths differ, as one."""
    labels = {path: label for corpus in corpora for path, label in corpus.labels.items()}
    rows = {path: found for corpus in corpora for path, found in corpus.rows.items()}
    return Corpus(labels, rows, corpora[0].min_av_conf)
