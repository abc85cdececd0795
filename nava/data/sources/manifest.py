"""Media that a CSV, TSV, JSONL or parquet file names.

Columns: `path` (relative to the media root) or `uri` (an address below it), and optionally `licence`, `origin`,
`transcript` (a WebVTT file, relative to the media root), `start_s` and `end_s` (seconds: the row is a span of the file,
which may have several), `caption` and `hints` (a JSON object), which are kept as hints, and `weight` (above 0; how much
rather than others the file is drawn where its collection has more than its share).

Whoever wrote the file can mend it, so that one wrong row refuses the whole; a file that is not there is only listed.
"""

import json
import posixpath
from collections.abc import Iterator
from typing import Any

from nava.artifacts.source_manifest import stays_inside
from nava.data.media_files import SIDECAR_EXTENSION
from nava.data.media_root import MediaRoot
from nava.data.sources.candidates import Candidates, MediaScan
from nava.data.sources.rows import Mention, Problems, gather, hints_text, segment_of
from nava.data.sources.tables import Row, RowError, read_rows
from nava.runtime.errors import InputError

COLUMNS = frozenset(
    {"path", "uri", "licence", "origin", "transcript", "start_s", "end_s", "caption", "hints", "weight"}
)


def read_manifest(folder: MediaRoot, name: str, root: MediaRoot, scan: MediaScan) -> Candidates:
    """The media that a manifest names.

    Args:
        folder: where the manifest lies.
        name: of the manifest in it.
        root: media root that its paths are relative to.
        scan: what lies there.

    Raises:
        InputError: the file is no such table, or rows of it cannot be used; the message names file, row and field.
    """
    problems = Problems()
    found, ignored = gather(_mentions(folder, name, root, scan, problems), scan, problems)
    problems.refuse()
    if not found and not ignored:
        raise InputError(f"{name} has no rows: nothing to ingest")
    return Candidates(root, found, ignored, scan.states)


def _mentions(folder: MediaRoot, name: str, root: MediaRoot, scan: MediaScan, problems: Problems) -> Iterator[Mention]:
    for row in read_rows(folder, name, (), COLUMNS):
        try:
            yield _mention(row, root, scan)
        except RowError as error:
            problems.add(row.place, error)


def _mention(row: Row, root: MediaRoot, scan: MediaScan) -> Mention:
    path = media_path(row, root)
    hints = _hints(row)
    segment = segment_of(row, row.microseconds("start_s"), row.microseconds("end_s"), hints)
    facts: dict[str, Any] = {
        "licence": row.text("licence"),
        "origin": row.text("origin"),
        "weight": _weight(row),
        "sidecar_path": _transcript(row, scan) or scan.sidecars.get(path),
    }
    return Mention(row.place, path, segment, facts if segment else facts | {"hints": hints_text(hints)})


def media_path(row: Row, root: MediaRoot) -> str:
    """The media file a row names, relative to the media root. RowError if it names none, or one outside."""
    path, uri = row.text("path"), row.text("uri")
    if bool(path) == bool(uri):
        raise RowError("one of the fields 'path' and 'uri' must name the media file, and not both")
    if path:
        return inner_path("path", path)
    address = uri.removeprefix("file://")
    base = f"{root.uri.partition('?')[0].removesuffix('/')}/"
    if not address.startswith(base):
        raise RowError(f"field 'uri' is {uri!r}, which is not below the media root {base} (setting 'media')")
    return inner_path("uri", address.removeprefix(base))


def inner_path(field: str, path: str) -> str:
    """A path that stays inside the media root. RowError for any other."""
    if "://" in path or not stays_inside(path):
        raise RowError(f"field '{field}' is {path!r}, which leads out of the media root")
    return posixpath.normpath(path)


def _transcript(row: Row, scan: MediaScan) -> str:
    name = row.text("transcript")
    if not name:
        return ""
    path = inner_path("transcript", name)
    if not path.endswith(SIDECAR_EXTENSION):
        raise RowError(f"field 'transcript' is {name!r}; it must name a WebVTT file ({SIDECAR_EXTENSION})")
    if path not in scan.transcripts:
        raise RowError(f"field 'transcript' is {name!r}, and there is no such file in the media root")
    return path


def _weight(row: Row) -> float:
    weight = row.number_of("weight")
    if weight is not None and weight <= 0:
        raise RowError(f"field 'weight' is {row.values['weight']!r}; it must be above 0")
    return 1.0 if weight is None else weight


def _hints(row: Row) -> dict[str, Any]:
    value = row.values.get("hints", {})
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise RowError(f"field 'hints' is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise RowError(f"field 'hints' is {value!r}; it must be a JSON object")
    caption = row.text("caption")
    return value | ({"caption": caption} if caption else {})
