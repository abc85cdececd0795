"""What one version of a corpus has that another has not, clip by clip, and how its distributions moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nava.artifacts.corpus_version import CorpusVersion
from nava.data.corpus.distribution import (
    CATEGORY_COLUMNS,
    NUMERIC_COLUMNS,
    CategoryShift,
    NumericShift,
    category_shift,
    numeric_shift,
)
from nava.data.corpus.snapshot import CorpusSnapshot, newest_version, open_snapshot
from nava.pages.corpus_diff_page import render_corpus_diff
from nava.runtime.errors import InputError
from nava.runtime.storage import write_json, write_text

SCHEMA_VERSION = 1
JSON_NAME = "diff.json"
PAGE_NAME = "diff.html"
# Why a clip is new, or gone, where no record of curation says it.
NEW_SOURCE = "new_source"
NEW_CLIP = "new_clip"
FORGOTTEN = "forgotten"
NO_SOURCE = "source_not_in_corpus"
NO_RECORD = "no_record"
# Columns that say how a record came about rather than what it is; stages have a table of their own.
_NOT_COMPARED = frozenset({"clip_id", "stage", "stage_versions", "created_by", "thumbnail_path"})


@dataclass(frozen=True)
class ClipMove:
    """A kept clip that only one of the versions has.

    Attributes:
        clip_id: its id. src_id, src_path: the source it was cut from.
        status: how the other version has it: `dropped`, `failed`, `quarantined`, or empty if it has no record of it.
        reason: the other version's reason for that status; without a record, one of the constants of this module.
        detail: the other version's words about it.
    """

    clip_id: str
    src_id: str
    src_path: str
    status: str
    reason: str
    detail: str


@dataclass(frozen=True)
class CorpusDiff:
    """The difference of two versions.

    Attributes:
        repository: where both are. old, new: their records.
        added, removed: kept clips that only the new, or only the old version has.
        changed: manifest columns that differ, by id of a clip that both have.
        unchanged: how many clips are the same in both.
        sources_added, sources_removed: sources with records in only one of them.
        numeric, categories: how the columns of kept clips moved.
        not_compared: columns of either kind that a manifest lacks.
        stages: [old, new] versions of each curation stage that is not the same in both.
        shards: `shared`, `added`, `removed`, and `added_bytes` of the files in the added ones.
    """

    repository: str
    old: CorpusVersion
    new: CorpusVersion
    added: list[ClipMove]
    removed: list[ClipMove]
    changed: dict[str, list[str]]
    unchanged: int
    sources_added: list[dict[str, Any]]
    sources_removed: list[dict[str, Any]]
    numeric: list[NumericShift]
    categories: list[CategoryShift]
    not_compared: list[str]
    stages: dict[str, list[list[str]]]
    shards: dict[str, int]
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def write(self, folder: Path) -> Path:
        """Write `diff.json` and the page `diff.html`; returns the page."""
        value = self.to_dict()
        write_json(folder / JSON_NAME, value)
        write_text(folder / PAGE_NAME, render_corpus_diff(value))
        return folder / PAGE_NAME


def diff(
    repository: str, old: str = "", new: str = "", *, remote_url: str = "", remote_endpoint_url: str = ""
) -> CorpusDiff:
    """Compare two versions by their manifests; no media are read. What `nava data diff` calls.

    Args:
        repository: folder of a corpus repository, or anything git clones from.
        old: a tag (`v1`) or commit; empty for the parent of the new one.
        new: likewise; empty for the newest version.
        remote_url: where the manifests lie, if not where the repository says.
        remote_endpoint_url: of the S3 service, likewise.

    Raises:
        InputError: no such repository or version, or the new version has no parent and no old one is named.
    """
    remote = {"remote_url": remote_url, "remote_endpoint_url": remote_endpoint_url}
    with open_snapshot(repository, new or newest_version(repository), **remote) as after:
        parent = old or after.version.parent
        if not parent:
            raise InputError(f"corpus {after.version.version} has no parent; name the version to compare it with")
        with open_snapshot(repository, parent, **remote) as before:
            return _compare(repository, before, after)


def _compare(repository: str, before: CorpusSnapshot, after: CorpusSnapshot) -> CorpusDiff:
    old_ids, new_ids = (list(one.manifest["clip_id"].to_pylist()) for one in (before, after))
    in_old, in_new = set(old_ids), set(new_ids)
    changed = _changed(before.manifest, after.manifest, [name for name in new_ids if name in in_old])
    forgotten = set(after.forget_list().covered(before.sources.to_pylist()))
    old_sources, new_sources = ({row["src_id"]: row for row in one.sources.to_pylist()} for one in (before, after))
    shared = [name for name in new_sources if name in old_sources]
    numeric = [name for name in NUMERIC_COLUMNS if _both_have(before, after, name)]
    categories = [name for name in CATEGORY_COLUMNS if _both_have(before, after, name)]
    return CorpusDiff(
        repository=repository,
        old=before.version,
        new=after.version,
        added=_moves(after.manifest, in_old, before.others, set(old_sources), NEW_SOURCE, NEW_CLIP),
        removed=[
            _as_forgotten(move) if move.src_id in forgotten else move
            for move in _moves(before.manifest, in_new, after.others, set(new_sources), NO_SOURCE, NO_RECORD)
        ],
        changed=changed,
        unchanged=len(in_old & in_new) - len(changed),
        sources_added=[row for name, row in new_sources.items() if name not in old_sources],
        sources_removed=[row for name, row in old_sources.items() if name not in shared],
        numeric=[numeric_shift(name, before.manifest, after.manifest) for name in numeric],
        categories=[category_shift(name, before.manifest, after.manifest) for name in categories],
        not_compared=sorted({*NUMERIC_COLUMNS, *CATEGORY_COLUMNS} - {*numeric, *categories}),
        stages=_stages(before.version.stage_versions, after.version.stage_versions),
        shards=_shards(before, after),
    )


def _both_have(before: CorpusSnapshot, after: CorpusSnapshot, column: str) -> bool:
    return column in before.manifest.column_names and column in after.manifest.column_names


def _moves(
    kept: pa.Table, elsewhere: set[str], others: pa.Table, sources: set[str], no_source: str, no_record: str
) -> list[ClipMove]:
    """The kept clips that the other version does not keep, with what it says of them.

    Args:
        kept: manifest of the version that has them.
        elsewhere: ids of the clips that the other version keeps.
        others: the other version's records of what it does not keep.
        sources: ids of the other version's sources.
        no_source: the reason where it does not know the source. no_record: where it does.
    """
    columns = ["clip_id", "src_id", "t1_us", "status", "drop_reason", "detail"]
    records = others.select([name for name in columns if name in others.column_names]).to_pylist()
    by_clip = {row["clip_id"]: row for row in records}
    # A file that never became clips has one record, of the source, which spans no time.
    by_source = {row["src_id"]: row for row in records if row.get("t1_us") is None}
    moves = []
    for row in kept.select(["clip_id", "src_id", "src_path"]).to_pylist():
        if row["clip_id"] in elsewhere:
            continue
        record: Mapping[str, Any] | None = by_clip.get(row["clip_id"]) or by_source.get(row["src_id"])
        if record is None:
            reason = no_record if row["src_id"] in sources else no_source
            record = {"drop_reason": reason}
        moves.append(
            ClipMove(
                **row,
                status=str(record.get("status") or ""),
                reason=str(record.get("drop_reason") or ""),
                detail=str(record.get("detail") or ""),
            )
        )
    return moves


def _as_forgotten(move: ClipMove) -> ClipMove:
    return ClipMove(move.clip_id, move.src_id, move.src_path, "", FORGOTTEN, "")


def _changed(old: pa.Table, new: pa.Table, shared: list[str]) -> dict[str, list[str]]:
    """The columns in which clips that both versions keep differ, by clip."""
    old, new = (_rows_of(table, shared) for table in (old, new))
    changed: dict[str, list[str]] = {}
    for column in new.column_names:
        if column in _NOT_COMPARED or column not in old.column_names:
            continue
        for at in np.flatnonzero(_differ(old[column], new[column])):
            changed.setdefault(shared[at], []).append(column)
    return dict(sorted(changed.items()))


def _rows_of(table: pa.Table, clips: list[str]) -> pa.Table:
    at = pc.index_in(pa.array(clips, pa.string()), value_set=table["clip_id"].combine_chunks())
    return table.take(at)


def _differ(old: pa.ChunkedArray, new: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if pa.types.is_nested(old.type) or pa.types.is_nested(new.type) or old.type != new.type:
        pairs = zip(old.to_pylist(), new.to_pylist(), strict=True)
        return np.array([one != other for one, other in pairs], dtype=bool)
    one_is_null = pc.xor(pc.is_null(old), pc.is_null(new))
    differ = pc.or_(one_is_null, pc.fill_null(pc.not_equal(old, new), False))
    return np.asarray(differ.to_numpy(), dtype=bool)


def _stages(old: Mapping[str, list[str]], new: Mapping[str, list[str]]) -> dict[str, list[list[str]]]:
    names = sorted(set(old) | set(new))
    return {name: [old.get(name, []), new.get(name, [])] for name in names if old.get(name) != new.get(name)}


def _shards(before: CorpusSnapshot, after: CorpusSnapshot) -> dict[str, int]:
    old, new = ({item.shard for item in one.media} for one in (before, after))
    added = sum(item.size_bytes for item in after.media if item.shard not in old)
    return {"shared": len(old & new), "added": len(new - old), "removed": len(old - new), "added_bytes": added}
