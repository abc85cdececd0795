"""Metadata in the format of Koala-36M: spans of videos, each with a caption and four scores.

Format followed: `Koala_36M_<n>.csv` of the data set Koala-36M/Koala-36M-v1 on the Hugging Face hub (Wang et al.,
Koala-36M, CVPR 2025, arXiv 2410.08260; https://github.com/KwaiVGI/Koala-36M), with the columns `videoID`
(`<YouTube id>_<number of the clip>`), `url`, `timestamp` (`['0:01:38.348', '0:01:42.602']`), `caption`,
`clarity_score`, `aesthetic_score`, `motion_score` and `video_training_suitability_score`. The card itself could not be
opened while this was written: columns and the form of the time stamps are as public code reads them.

The data set has no media. The operator supplies them as files named by id, at any depth: `<videoID>.mp4` is the cut
clip, `<YouTube id>.mp4` the whole video, of which the rows are spans. Rows that cannot be used are listed one by one,
media that are not there once for all their rows: nobody can mend a published file.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from nava.data.media_root import MediaRoot
from nava.data.sources.candidates import Candidates, MediaScan
from nava.data.sources.rows import Mention, Problems, gather, hints_text, segment_of
from nava.data.sources.tables import Row, RowError, read_rows
from nava.runtime.errors import InputError

REQUIRED = ("videoID", "timestamp")
_SCORES = ("clarity_score", "aesthetic_score", "motion_score", "video_training_suitability_score")
_VIDEO_ID = re.compile(r"([A-Za-z0-9_-]+)_(\d+)")
_TIMES = re.compile(
    r"""\[?\s*['"]?(\d+):(\d\d):(\d\d(?:\.\d+)?)['"]?\s*,\s*['"]?(\d+):(\d\d):(\d\d(?:\.\d+)?)['"]?\s*\]?"""
)


def read_koala(folder: MediaRoot, names: Iterable[str], root: MediaRoot, scan: MediaScan) -> Candidates:
    """The media that the metadata files `names` in `folder` describe.

    Raises:
        InputError: a file is no such table, or none of its rows can be used.
    """
    stems = {PurePosixPath(name).stem: name for name in reversed(scan.media)}
    problems = Problems()
    found, ignored = gather(_mentions(folder, names, stems, problems), scan, problems)
    if not found and not ignored:
        problems.refuse()
        raise InputError(f"the metadata in {folder.uri} have no rows: nothing to ingest")
    return Candidates(root, found, [*ignored, *problems.ignored()], scan.states)


def _mentions(folder: MediaRoot, names: Iterable[str], stems: dict[str, str], problems: Problems) -> Iterator[Mention]:
    for name in names:
        for row in read_rows(folder, name, REQUIRED, ()):
            try:
                yield _mention(row, stems)
            except RowError as error:
                problems.add(row.place, error)


def _mention(row: Row, stems: dict[str, str]) -> Mention:
    clip = row.text("videoID")
    match = _VIDEO_ID.fullmatch(clip)
    if match is None:
        raise RowError(f"field 'videoID' is {clip!r}; it must be an id, an underscore and a number")
    scores = {name: score for name in _SCORES if (score := row.number_of(name)) is not None}
    texts = {name: text for name in ("caption", "url") if (text := row.text(name))}
    segment = segment_of(row, *_times(row), {"videoID": clip, **texts, **scores})
    assert segment is not None, "both times are there"
    if clip in stems:
        # The operator has cut it already: the times are those of a video that is not here.
        return Mention(row.place, stems[clip], None, {"hints": segment.hints})
    video = match[1]
    return Mention(row.place, stems.get(video, video), segment, {"hints": hints_text({"video": video})})


def _times(row: Row) -> tuple[int, int]:
    """Start and end in microseconds."""
    value = row.values.get("timestamp")
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    match = _TIMES.fullmatch(text.strip())
    if match is None:
        raise RowError(f"field 'timestamp' is {value!r}; it must be two times such as ['0:01:38.348', '0:01:42.602']")
    hours_s, minutes_s = (int(match[1]) * 3600, int(match[4]) * 3600), (int(match[2]) * 60, int(match[5]) * 60)
    seconds = float(match[3]), float(match[6])
    start_s, end_s = (sum(parts) for parts in zip(hours_s, minutes_s, seconds, strict=True))
    return round(start_s * 1e6), round(end_s * 1e6)
