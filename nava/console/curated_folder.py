"""A curated (or pulled) corpus as its report reads it: the manifest once, in columns; a row when it is asked for."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.artifacts.clip_manifest import MANIFEST_NAME, MEDIA_DIR, THUMBNAIL_DIR, ClipRow, Status, read_clips
from nava.artifacts.gate_verdict import VERDICT_FILE
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json

if TYPE_CHECKING:
    from nava.artifacts.source_manifest import IgnoredFile, Source

GATE_DIR = "gate"
_WORK_UNITS = (".work", "units")
_NEAR_IDS = 8
_FUZZY_IDS = 50_000  # beyond, comparing every id takes seconds
_SUFFIXES = {"video": ".mp4", "sound": ".flac", "model_sound": ".wav", "thumbnail": ".jpg"}
_COLUMNS = {
    "video": "video_path",
    "sound": "audio_48k_path",
    "model_sound": "audio_path",
    "thumbnail": "thumbnail_path",
}
_SEARCHED = ("clip_id", "src_path", "src_id", "drop_reason", "detail", "caption", "origin", "licence", "tags")


class CuratedFolder:
    """The tables of a folder and the files that they name.

    Attributes:
        path: the folder.
        table: the clip manifest, in its order.
        record: what the corpus was made with (`curation.json`); empty for a pulled corpus.
        cost: CPU seconds by stage (`curation-cost.json`); empty where nobody recorded them.
    """

    def __init__(self, path: Path) -> None:
        """Read the tables.

        Raises:
            InputError: there is no manifest, or one of another schema version.
        """
        self.path = path.resolve()
        try:
            self.table = read_clips(self.path)
        except (FileNotFoundError, ValueError) as error:
            raise InputError(
                f"{path} holds no curated clips: {error}; `nava data curate` makes such a folder"
            ) from error
        self.record = self._json("curation.json")
        self.cost = self._json("curation-cost.json")
        self.ids: list[str] = self.table["clip_id"].to_pylist()
        self._positions = {clip_id: position for position, clip_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._positions

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        value: dict[str, Any] = read_json(path) if path.is_file() else {}
        return value

    def column(self, name: str) -> list[Any]:
        """All values of a column."""
        values: list[Any] = self.table[name].to_pylist()
        return values

    def row(self, clip_id: str) -> ClipRow:
        """The row of a record; KeyError if there is none."""
        return self.rows([self._positions[clip_id]])[0]

    def rows(self, positions: Sequence[int]) -> list[ClipRow]:
        """The rows at these positions of the manifest."""
        found: list[ClipRow] = self.table.take(list(positions)).to_pylist() if positions else []
        for row in found:
            row["stage_versions"] = dict(row["stage_versions"] or ())
        return found

    def of_source(self, src_id: str) -> list[ClipRow]:
        """All records of a source."""
        return self.rows(self._by_source.get(src_id, []))

    def copies_of(self, clip_id: str) -> list[ClipRow]:
        """The records that were dropped because they repeat this clip."""
        return self.rows(self._copies.get(clip_id, []))

    @cached_property
    def _by_source(self) -> dict[str, list[int]]:
        return _grouped(self.column("src_id"))

    @cached_property
    def _copies(self) -> dict[str, list[int]]:
        return _grouped(self.column("dup_of"))

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The sources by id; empty where the folder has no source manifest."""
        from nava.artifacts.source_manifest import SOURCES_NAME, read_sources

        if not (self.path / SOURCES_NAME).is_file():
            return {}
        return {source.source_id: source for source in read_sources(self.path)}

    @cached_property
    def ignored(self) -> list[IgnoredFile]:
        """The entries of the media folder that did not become a source."""
        from nava.artifacts.source_manifest import IGNORED_NAME, read_ignored

        return read_ignored(self.path) if (self.path / IGNORED_NAME).is_file() else []

    def setting(self, *names: str) -> Any:
        """A setting of the recorded configuration, or None where it is not recorded."""
        value: Any = self.record.get("config", {})
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def verdict(self) -> dict[str, Any] | None:
        """The gate's verdict as it lies there now, with `outdated` where the clips are newer; None without one."""
        path = self.path / GATE_DIR / VERDICT_FILE
        try:
            value: dict[str, Any] = read_json(path)
            judged_at = path.stat().st_mtime
        except (OSError, ValueError):
            return None
        return value | {"outdated": (self.path / MANIFEST_NAME).stat().st_mtime > judged_at}

    @cached_property
    def work(self) -> Path | None:
        """Where the curation that made this manifest worked, source by source; None where that is gone."""
        look_key = str(self.record.get("look_key", ""))
        path = self.path.joinpath(*_WORK_UNITS, look_key)
        return path if look_key and path.is_dir() else None

    def file(self, row: ClipRow, kind: str) -> Path | None:
        """A file of a record: `video`, `sound` (48 kHz), `model_sound` (16 kHz) or `thumbnail`.

        What was not kept has no media in the corpus, and only the first kept clips have a thumbnail; while the work
        of the curation is there, they are found in it.

        Returns:
            None where there is no such file, or where the manifest names one outside the folder.
        """
        if named := row[_COLUMNS[kind]]:
            return self._inside(self.path / named)
        if self.work is None or (row["status"] == Status.KEPT and kind != "thumbnail"):
            return None
        names = THUMBNAIL_DIR if kind == "thumbnail" else MEDIA_DIR
        return self._inside(self.work / row["src_id"] / names / f"{row['clip_id']}{_SUFFIXES[kind]}")

    def _inside(self, path: Path) -> Path | None:
        resolved = path.resolve()
        return resolved if resolved.is_relative_to(self.path) and resolved.is_file() else None

    def find(self, text: str) -> str:
        """The id that a user means: a whole id, or the beginning of only one.

        Raises:
            InputError: no id begins so, or several do; the message names near ones.
        """
        if text in self._positions:
            return text
        begins = sorted(clip_id for clip_id in self.ids if text and clip_id.startswith(text))
        if len(begins) == 1:
            return begins[0]
        if begins:
            raise InputError(f"{len(begins)} records of {self.path} begin with '{text}': {_listed(begins)}")
        raise InputError(f"no record of {self.path} is called '{text}'{self._hint(text)}")

    def _hint(self, text: str) -> str:
        if of_source := [
            clip_id
            for clip_id, path, src_id in zip(self.ids, self.column("src_path"), self.column("src_id"), strict=True)
            if text and (text in (path, src_id) or path.endswith(f"/{text}"))
        ]:
            return f"; the records of that source: {_listed(of_source)}"
        near = difflib.get_close_matches(text, self.ids, n=3, cutoff=0.6) if len(self) <= _FUZZY_IDS else []
        if not near and text:
            ordered = sorted(self.ids)
            at = bisect_left(ordered, text)
            near = [one for one in ordered[max(0, at - 2) : at + 2] if one[:2] == text[:2]]
        return f"; did you mean {_listed(near)}?" if near else "; clips.parquet and `nava data serve-report` list them"

    def select(self, status: str = "", reason: str = "", words: str = "") -> list[int]:
        """Positions of the records with a status (`not_kept` for all but the kept), a reason, and all of the words."""
        wanted = words.lower().split()
        return [
            position
            for position, (its_status, its_reason) in enumerate(self._outcomes)
            if (not status or its_status == status or (status == "not_kept" and its_status != Status.KEPT))
            and (not reason or its_reason == reason)
            and all(word in self._searched[position] for word in wanted)
        ]

    @cached_property
    def _outcomes(self) -> list[tuple[str, str | None]]:
        return list(zip(self.column("status"), self.column("drop_reason"), strict=True))

    @cached_property
    def _searched(self) -> list[str]:
        columns = [self.column(name) for name in _SEARCHED]
        return [" ".join(map(_plain, values)).lower() for values in zip(*columns, strict=True)]


def _grouped(values: Sequence[Any]) -> dict[str, list[int]]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for position, value in enumerate(values):
        if value is not None:
            groups[value].append(position)
    return dict(groups)


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _NEAR_IDS
    return ", ".join(ids[:_NEAR_IDS]) + (f" and {more} more" if more > 0 else "")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
