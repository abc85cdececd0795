"""What a version is to hold, before it is packed: the kept clips, the other records, and the files of the clips."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nava.artifacts.clip_manifest import MANIFEST_NAME, Status, count_statuses, read_clips
from nava.artifacts.media_shard import MediaFile, PackedFile, stays_inside
from nava.data.corpus.packing import as_media
from nava.data.corpus.snapshot import CorpusSnapshot, media_columns, table_bytes
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file, sha256_listing

SOURCE_COLUMNS = ("src_id", "src_sha256", "src_path", "licence", "origin")


@dataclass(frozen=True)
class CorpusContent:
    """The content of a version.

    Attributes:
        kept: manifest rows of the kept clips, without thumbnails.
        others: manifest rows of the other records.
        media: the files of the kept clips by path.
    """

    kept: pa.Table
    others: pa.Table
    media: dict[str, MediaFile]

    @classmethod
    def of_folder(cls, clips: Path, known: Mapping[str, PackedFile]) -> CorpusContent:
        """The content of a curated folder.

        A file whose hash the manifest gives is not read here: it is compared with that hash when it is packed.

        Args:
            clips: folder of `clips.parquet` and the files it names.
            known: files of the version before by path, which need not be in the folder any more.

        Raises:
            InputError: the manifest cannot be read, or a file is missing or lies outside the folder.
        """
        try:
            table = read_clips(clips)
        except (FileNotFoundError, ValueError, pa.ArrowInvalid) as error:
            raise InputError(f"{clips} holds no clips that can be versioned: {error}") from error
        is_kept = pc.equal(table["status"], str(Status.KEPT))
        kept = _without_thumbnails(table.filter(is_kept))
        return cls(kept, _without_thumbnails(table.filter(pc.invert(is_kept))), _media_of(clips, kept, known))

    @classmethod
    def of_snapshot(cls, snapshot: CorpusSnapshot) -> CorpusContent:
        """The content of a version that exists."""
        return cls(snapshot.manifest, snapshot.others, {item.path: as_media(item) for item in snapshot.media})

    def without(self, sources: Collection[str]) -> CorpusContent:
        """The content without anything of some sources (src_id)."""
        gone = set(sources)
        media = {path: item for path, item in self.media.items() if item.src_id not in gone}
        return CorpusContent(_without_sources(self.kept, gone), _without_sources(self.others, gone), media)

    @cached_property
    def manifest_bytes(self) -> bytes:
        """The manifest of the kept clips, as it is stored."""
        return table_bytes(self.kept)

    @property
    def sha256(self) -> str:
        """What `sha256_tree` gives for the folder that the version unpacks to."""
        files = {path: item.sha256 for path, item in self.media.items()}
        return sha256_listing(files | {MANIFEST_NAME: sha256_bytes(self.manifest_bytes)})

    def sources(self) -> list[dict[str, Any]]:
        """Every source with its records by status, ordered by path and id."""
        found: dict[str, dict[str, Any]] = {}
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for table in (self.kept, self.others):
            columns = [*SOURCE_COLUMNS, "status"]
            for row in table.select([name for name in columns if name in table.column_names]).to_pylist():
                counts[row["src_id"]][row.pop("status")] += 1
                found.setdefault(row["src_id"], row)
        statuses = {name: {str(status): count[status] for status in Status} for name, count in counts.items()}
        rows = [{**row, **statuses[name]} for name, row in found.items()]
        return sorted(rows, key=lambda row: (row["src_path"], row["src_id"]))

    def facts(self) -> dict[str, Any]:
        """What the version's record says of the content: the fields of `CorpusVersion` by name."""
        splits = self.kept.select(["split", "modality"]).to_pylist()
        return {
            "counts": count_statuses([*self.kept.select(["status"]).to_pylist(), *_statuses(self.others)]),
            "kept_by_split": dict(sorted(Counter(f"{row['split']}/{row['modality']}" for row in splits).items())),
            "counts_by_origin": _counts_by_origin(self.sources()),
            "stage_versions": _stage_versions([self.kept, self.others]),
        }


def sources_table(sources: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The sources as a table: strings that say which, and counts of records by status."""
    text = [pa.field(name, pa.string()) for name in SOURCE_COLUMNS]
    counts = [pa.field(str(status), pa.int64()) for status in Status]
    schema = pa.schema([*text, *counts])
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in sources], schema=schema)


def _statuses(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(["status"]).to_pylist()
    return rows


def _counts_by_origin(sources: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    names = ["sources", *(str(status) for status in Status)]
    result: dict[str, dict[str, int]] = {}
    for row in sources:
        counts = result.setdefault(row.get("origin") or "", dict.fromkeys(names, 0))
        for name in names:
            counts[name] += 1 if name == "sources" else row[name]
    return dict(sorted(result.items()))


def _stage_versions(tables: Sequence[pa.Table]) -> dict[str, list[str]]:
    """Each stage's versions among all records; a corpus that grew over time may hold several."""
    found: dict[str, set[str]] = defaultdict(set)
    for table in tables:
        if "stage_versions" not in table.column_names:
            continue
        for chunk in table["stage_versions"].chunks:
            pairs = pa.table({"stage": chunk.keys, "version": chunk.items}).group_by(["stage", "version"]).aggregate([])
            for row in pairs.to_pylist():
                found[row["stage"]].add(row["version"])
    return {stage: sorted(versions) for stage, versions in sorted(found.items())}


def _without_thumbnails(table: pa.Table) -> pa.Table:
    if "thumbnail_path" not in table.column_names:
        return table
    at = table.column_names.index("thumbnail_path")
    return table.set_column(at, table.schema.field(at), pa.nulls(table.num_rows, pa.string()))


def _without_sources(table: pa.Table, gone: Collection[str]) -> pa.Table:
    if not gone:
        return table
    return table.filter(pc.invert(pc.is_in(table["src_id"], value_set=pa.array(sorted(gone), pa.string()))))


def _media_of(clips: Path, kept: pa.Table, known: Mapping[str, PackedFile]) -> dict[str, MediaFile]:
    media: dict[str, MediaFile] = {}
    for column in media_columns(kept):
        hash_column = f"{column.removesuffix('_path')}_sha256"
        hashes = kept[hash_column].to_pylist() if hash_column in kept.column_names else [None] * kept.num_rows
        for path, sha256, src_id in zip(kept[column].to_pylist(), hashes, kept["src_id"].to_pylist(), strict=True):
            if path:
                media[path] = _media_file(clips, path, sha256, src_id, known.get(path))
    return media


def _media_file(clips: Path, path: str, sha256: str | None, src_id: str, known: PackedFile | None) -> MediaFile:
    if known is not None and sha256 == known.sha256 and src_id == known.src_id:
        return as_media(known)
    file = clips / path
    if not stays_inside(path) or not file.is_file():
        raise InputError(f"{clips / MANIFEST_NAME} names the file {path}, which is not in {clips}")
    return MediaFile(path, sha256 or sha256_file(file), file.stat().st_size, src_id)
