"""What rows of metadata say of media files: gathered by file, checked, and matched with the files that are there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason, Segment
from nava.data.sources.candidates import Candidate, MediaScan
from nava.data.sources.tables import Row, RowError
from nava.runtime.errors import InputError
from nava.runtime.hashing import canonical_json

_SHOWN_PROBLEMS = 5
_SHOWN_ROWS = 3


@dataclass(frozen=True)
class Mention:
    """What one row says of one media file.

    Attributes:
        row: where it stands.
        path: of the media file, relative to the media root.
        segment: span of the file; None for the whole.
        facts: fields of `Candidate` that must be the same in all rows of a file.
    """

    row: Row
    path: str
    segment: Segment | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def segment_of(row: Row, t0_us: int | None, t1_us: int | None, hints: Mapping[str, Any]) -> Segment | None:
    """A span from a row's two times; None if it gives none.

    Raises:
        RowError: only one of them is there, or the end does not come after the start.
    """
    if t0_us is None and t1_us is None:
        return None
    if t0_us is None or t1_us is None:
        raise RowError("a span needs both its start and its end")
    if t1_us <= t0_us:
        raise RowError(f"the span ends at {t1_us / 1e6} s, which is not after its start at {t0_us / 1e6} s")
    return Segment(t0_us, t1_us, hints_text(hints))


def hints_text(hints: Mapping[str, Any]) -> str:
    """Hints as a JSON object. RowError for what JSON cannot hold."""
    try:
        return canonical_json(dict(hints))
    except (TypeError, ValueError) as error:
        raise RowError(f"field 'hints' cannot be kept as JSON: {error}") from error


class Problems:
    """Rows that cannot be used, in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[Row, str]] = []

    def add(self, row: Row, error: RowError) -> None:
        """Keep a row and what is wrong with it."""
        self.rows.append((row, str(error)))

    def refuse(self) -> None:
        """InputError with the first of them, if there are any."""
        if not self.rows:
            return
        shown = "".join(f"\n  {row}: {text}" for row, text in self.rows[:_SHOWN_PROBLEMS])
        more = len(self.rows) - _SHOWN_PROBLEMS
        raise InputError(
            f"{len(self.rows)} row(s) cannot be used:{shown}" + (f"\n  and {more} more" if more > 0 else "")
        )

    def ignored(self) -> list[IgnoredFile]:
        """All of them as entries of the manifest."""
        return [IgnoredFile(str(row), IgnoreReason.INVALID_ROW, detail=text) for row, text in self.rows]


def gather(
    mentions: Iterable[Mention], scan: MediaScan, problems: Problems
) -> tuple[list[Candidate], list[IgnoredFile]]:
    """One candidate for each media file that rows name, in path order, and what rows name in vain.

    Rows of a file that contradict each other are problems; a row that says the same as one before it is ignored.
    """
    by_path: dict[str, list[Mention]] = {}
    for mention in mentions:
        by_path.setdefault(mention.path, []).append(mention)
    usable, reasons = set(scan.media), {item.path: item.reason for item in scan.ignored}
    found, ignored = [], []
    for path in sorted(by_path):
        if path not in usable:
            reason = reasons.get(path, IgnoreReason.MEDIA_MISSING)
            ignored.append(IgnoredFile(path, reason, detail=f"named in {_places(by_path[path])}"))
            continue
        candidate, repeated = _candidate(scan.candidate(path), by_path[path], problems)
        found.append(candidate)
        ignored += [IgnoredFile(str(row), IgnoreReason.DUPLICATE_ROW, detail=f"of {path}") for row in repeated]
    return found, ignored


def _candidate(candidate: Candidate, mentions: list[Mention], problems: Problems) -> tuple[Candidate, list[Row]]:
    facts, segments, repeated = mentions[0].facts, {}, []
    for position, mention in enumerate(mentions):
        if (mention.segment is None) != (mentions[0].segment is None):
            problem = f"{mentions[0].row} and this row name the same file, one the whole of it and one a span"
            problems.add(mention.row, RowError(problem))
        elif mention.facts != facts:
            name = next(name for name in facts if mention.facts[name] != facts[name])
            problems.add(mention.row, RowError(f"field '{name}' differs from {mentions[0].row}, on the same file"))
        elif mention.segment in segments or (mention.segment is None and position):
            repeated.append(mention.row)
        elif mention.segment is not None:
            segments[mention.segment] = mention.row
    ordered = tuple(sorted(segments, key=lambda segment: (segment.t0_us, segment.t1_us, segment.hints)))
    return replace(candidate, **facts, segments=ordered), repeated


def _places(mentions: list[Mention]) -> str:
    shown = ", ".join(str(mention.row.number) for mention in mentions[:_SHOWN_ROWS])
    more = len(mentions) - _SHOWN_ROWS
    return f"{mentions[0].row.table}, row {shown}" + (f" and {more} more" if more > 0 else "")
