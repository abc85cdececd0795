"""What rows of metadata say of media files: gathered by file, checked, and matched with the files that are there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason, Segment
from nava.data.sources.candidates import Candidate, MediaScan
from nava.data.sources.tables import Place, Row, RowError
from nava.runtime.errors import InputError
from nava.runtime.hashing import canonical_json

_SHOWN_PROBLEMS = 5
_SHOWN_ROWS = 3


@dataclass(frozen=True)
class Mention:
    """What one row says of one media file.

    Attributes:
        place: of the row.
        path: of the media file, relative to the media root.
        segment: span of the file; None for the whole.
        facts: fields of `Candidate` that must be the same in all rows of a file.
    """

    place: Place
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
        self.rows: list[tuple[Place, str]] = []

    def add(self, place: Place, error: RowError) -> None:
        """Keep where a row stands and what is wrong with it."""
        self.rows.append((place, str(error)))

    def refuse(self) -> None:
        """InputError with the first of them, if there are any."""
        if not self.rows:
            return
        shown = "".join(f"\n  {place}: {text}" for place, text in self.rows[:_SHOWN_PROBLEMS])
        more = len(self.rows) - _SHOWN_PROBLEMS
        raise InputError(
            f"{len(self.rows)} row(s) cannot be used:{shown}" + (f"\n  and {more} more" if more > 0 else "")
        )

    def ignored(self) -> list[IgnoredFile]:
        """All of them as entries of the manifest."""
        return [IgnoredFile(str(place), IgnoreReason.INVALID_ROW, detail=text) for place, text in self.rows]


def gather(
    mentions: Iterable[Mention], scan: MediaScan, problems: Problems
) -> tuple[list[Candidate], list[IgnoredFile]]:
    """One candidate for each media file that rows name, in path order, and what rows name in vain.

    Rows of a file that contradict each other are problems; a row that says the same as one before it is ignored. Of
    rows whose media are not there only their numbers are kept: published metadata have tens of millions of them.
    """
    usable, reasons = set(scan.media), {item.path: item.reason for item in scan.ignored}
    by_path: dict[str, list[Mention]] = {}
    in_vain: dict[str, _Places] = {}
    for mention in mentions:
        if mention.path in usable:
            by_path.setdefault(mention.path, []).append(mention)
        else:
            in_vain.setdefault(mention.path, _Places(mention.place.table)).add(mention.place.number)
    found, ignored = [], []
    for path in sorted(by_path):
        candidate, repeated = _candidate(scan.candidate(path), by_path[path], problems)
        found.append(candidate)
        ignored += [IgnoredFile(str(place), IgnoreReason.DUPLICATE_ROW, detail=f"of {path}") for place in repeated]
    for path, places in sorted(in_vain.items()):
        reason = reasons.get(path, IgnoreReason.MEDIA_MISSING)
        ignored.append(IgnoredFile(path, reason, detail=f"named in {places}"))
    return found, ignored


@dataclass
class _Places:
    """The rows that name one file: the first few, and how many there are."""

    table: str
    numbers: list[int] = field(default_factory=list)
    count: int = 0

    def add(self, number: int) -> None:
        self.count += 1
        if len(self.numbers) < _SHOWN_ROWS:
            self.numbers.append(number)

    def __str__(self) -> str:
        more = self.count - len(self.numbers)
        shown = ", ".join(map(str, self.numbers))
        return f"{self.table}, row {shown}" + (f" and {more} more" if more else "")


def _candidate(candidate: Candidate, mentions: list[Mention], problems: Problems) -> tuple[Candidate, list[Place]]:
    facts, segments, repeated = mentions[0].facts, {}, []
    for position, mention in enumerate(mentions):
        if (mention.segment is None) != (mentions[0].segment is None):
            problem = f"{mentions[0].place} and this row name the same file, one the whole of it and one a span"
            problems.add(mention.place, RowError(problem))
        elif mention.facts != facts:
            name = next(name for name in facts if mention.facts[name] != facts[name])
            problems.add(mention.place, RowError(f"field '{name}' differs from {mentions[0].place}, on the same file"))
        elif mention.segment in segments or (mention.segment is None and position):
            repeated.append(mention.place)
        elif mention.segment is not None:
            segments[mention.segment] = mention.place
    ordered = tuple(sorted(segments, key=lambda segment: (segment.t0_us, segment.t1_us, segment.hints)))
    return replace(candidate, **facts, segments=ordered), repeated
