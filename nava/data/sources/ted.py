"""Metadata in the formats of TED corpora: talks with what is said when, and by whom.

Formats followed:

- TED-LIUM 1 to 3 (https://www.openslr.org/7, /19, /51; Hernandez et al. 2018, arXiv 1805.04699): one STM file a talk,
  lines of `<talk> <channel> <speaker> <start s> <end s> <label> <words>` (NIST sclite's STM), where the words may be
  `ignore_time_segment_in_scoring`, and carry marks: `<sil>`, `{NOISE}`, `(2)` for a variant of a pronunciation. Media
  are `sph/<talk>.sph`.
- MuST-C 1 to 3 (Cattoni et al. 2021, doi 10.1016/j.csl.2020.101155): `<split>/txt/<split>.yaml`, a list of
  `{duration, offset, speaker_id, wav}` in seconds, with the words of each line in `<split>.en` beside it. Media are
  `<split>/wav/<talk>.wav`.

Media are found by the talk's name, at any depth of the media root, whatever their format: the talks as films work too.
The words become the source's transcript. Where STM says that a stretch is not to be scored, nobody wrote down what is
said, and the stretch is left out of the source's segments; what lies before the first and after the last line is too.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from nava.artifacts.source_manifest import Segment
from nava.data.media_root import MediaRoot
from nava.data.sources.candidates import Candidates, MediaScan
from nava.data.sources.rows import Mention, Problems, gather, hints_text
from nava.data.sources.tables import Place, Row, RowError
from nava.data.sources.transcripts import Cue, webvtt
from nava.runtime.errors import InputError

SUFFIXES = (".stm", ".yaml")
_LANGUAGE = ".en"
_IGNORED = "ignore_time_segment_in_scoring"
_GAP_SPEAKER = "inter_segment_gap"
_STM_FIELDS = 6
_MARKS = re.compile(r"<[^>]*>|\{[^}]*\}|\(\d+\)")
# TED-LIUM writes clitics apart: "it 's".
_CLITIC = re.compile(r"\s+(?='(?:s|t|re|ve|ll|d|m)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class _Line:
    """One line of a talk; `text` is None where nobody wrote down what is said, and empty where nothing is."""

    place: Place
    talk: str
    speaker: str
    start_s: float
    end_s: float
    text: str | None


def read_ted(folder: MediaRoot, names: Iterable[str], root: MediaRoot, scan: MediaScan) -> Candidates:
    """The talks that the STM and YAML files `names` in `folder` describe.

    Raises:
        InputError: a file cannot be read, or none of its lines can be used.
    """
    problems = Problems()
    talks: dict[str, list[_Line]] = {}
    for name in names:
        reader = _stm_lines if name.lower().endswith(".stm") else _yaml_lines
        for line in reader(folder, name, problems):
            talks.setdefault(line.talk, []).append(line)
    if not talks:
        problems.refuse()
        raise InputError(f"the metadata in {folder.uri} describe no talk: nothing to ingest")
    stems = {PurePosixPath(name).stem: name for name in reversed(scan.media)}
    mentions: list[Mention] = []
    for talk, lines in sorted(talks.items()):
        if not any(line.text for line in lines):
            problems.add(lines[0].place, RowError(f"no line of the talk {talk} has words"))
        mentions += _mentions(talk, lines, stems)
    found, ignored = gather(mentions, scan, problems)
    return Candidates(root, found, [*ignored, *problems.ignored()], scan.states)


def _mentions(talk: str, lines: list[_Line], stems: dict[str, str]) -> Iterator[Mention]:
    """The segments of a talk; none where no line of it has words."""
    lines = sorted(lines, key=lambda line: (line.start_s, line.end_s))
    cues = [Cue(line.speaker, line.start_s, line.end_s, line.text) for line in lines if line.text]
    if not cues:
        return
    speakers = sorted({cue.speaker for cue in cues})
    facts: dict[str, Any] = {
        "transcript": webvtt(cues),
        "hints": hints_text({"talk": talk, "speakers": speakers}),
    }
    for first, end_s in _stretches(lines):
        segment = Segment(round(first.start_s * 1e6), round(end_s * 1e6))
        yield Mention(first.place, stems.get(talk, talk), segment, facts)


def _stretches(lines: list[_Line]) -> Iterator[tuple[_Line, float]]:
    """Runs of lines, each as its first line and its end; a line that nobody wrote down ends a run."""
    first: _Line | None = None
    end_s = 0.0
    for line in lines:
        if line.text is not None:
            end_s = line.end_s if first is None else max(end_s, line.end_s)
            first = first or line
        elif first is not None:
            if (cut_s := min(end_s, line.start_s)) > first.start_s:
                yield first, cut_s
            first = None
    if first is not None:
        yield first, end_s


def _stm_lines(folder: MediaRoot, name: str, problems: Problems) -> Iterator[_Line]:
    for number, text in enumerate(_text_lines(folder, name), start=1):
        if not text.strip() or text.startswith(";;"):
            continue
        place = Place(name, number)
        try:
            line = _stm_line(place, text)
        except RowError as error:
            problems.add(place, error)
            continue
        if line.speaker != _GAP_SPEAKER:
            yield line


def _stm_line(place: Place, text: str) -> _Line:
    fields = text.split(maxsplit=_STM_FIELDS)
    # The label is optional in STM, and is the only field in angle brackets.
    has_label = len(fields) >= _STM_FIELDS and fields[_STM_FIELDS - 1].startswith("<")
    talk, _, speaker, start, end, *rest = fields if len(fields) >= _STM_FIELDS - 1 else [""] * _STM_FIELDS
    if not talk:
        raise RowError(f"{len(fields)} fields where an STM line has at least {_STM_FIELDS - 1}")
    start_s, end_s = _times(Row(place, {"start": start, "end": end}))
    words = " ".join(rest[1:] if has_label else rest)
    return _Line(place, talk, speaker, start_s, end_s, None if words.strip().lower() == _IGNORED else _spoken(words))


def _times(row: Row) -> tuple[float, float]:
    """Start and end, checked."""
    start_us, end_us = row.microseconds("start"), row.microseconds("end")
    if start_us is None or end_us is None:
        raise RowError("a line needs both its start and its end")
    if end_us <= start_us:
        raise RowError(f"the line ends at {end_us / 1e6} s, which is not after its start at {start_us / 1e6} s")
    return start_us / 1e6, end_us / 1e6


def _spoken(words: str) -> str:
    """The words without marks of the corpus."""
    return _CLITIC.sub("", " ".join(_MARKS.sub(" ", words).split()))


def _yaml_lines(folder: MediaRoot, name: str, problems: Problems) -> Iterator[_Line]:
    import yaml

    beside = PurePosixPath(name).with_suffix(_LANGUAGE).as_posix()
    try:
        # The same safe loader in C where the library has it: a split has a quarter of a million lines.
        entries = yaml.load("\n".join(_text_lines(folder, name)), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    texts = _text_lines(folder, beside)
    if not isinstance(entries, list) or len(entries) != len(texts):
        count = len(entries) if isinstance(entries, list) else "no"
        raise InputError(f"{name} lists {count} lines and {beside} has {len(texts)}; they must be as many")
    for number, (entry, text) in enumerate(zip(entries, texts, strict=True), start=1):
        row = Row(Place(name, number), entry if isinstance(entry, dict) else {})
        try:
            yield _yaml_line(row, text)
        except RowError as error:
            problems.add(row.place, error)


def _yaml_line(row: Row, text: str) -> _Line:
    talk, speaker = PurePosixPath(row.text("wav")).stem, row.text("speaker_id")
    if not talk:
        raise RowError("field 'wav' is missing; it must name the talk's sound file")
    offset_s, duration_s = row.number_of("offset"), row.number_of("duration")
    if offset_s is None or duration_s is None:
        raise RowError("the fields 'offset' and 'duration' must give the line's time in seconds")
    start_s, end_s = _times(Row(row.place, {"start": offset_s, "end": offset_s + duration_s}))
    return _Line(row.place, talk, speaker, start_s, end_s, " ".join(text.split()))


def _text_lines(folder: MediaRoot, name: str) -> list[str]:
    with folder.open(name) as file:
        data = file.read()
    try:
        return data.removesuffix(b"\n").decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}, row {row}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
