"""The signature index of a curated corpus: what later corpora are compared with.

A folder of parquet shards in the order of clip ids, and `index.json`. It lies beside the manifest, is versioned with
it, and is read from a path or a bucket address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from nava.data.duplicates.signature import Signature
from nava.data.duplicates.signature_shards import (
    METADATA,
    SCHEMA_VERSION,
    SIGNATURE_FIELDS,
    SignatureShards,
    read_shard,
    signature_columns,
)
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_folder, write_json

INDEX_FILE = "index.json"
_CLIPS_PER_SHARD = 8192
_INDEX_SCHEMA = pa.schema(
    [
        *SIGNATURE_FIELDS,
        pa.field("src_id", pa.string(), nullable=False),
        pa.field("quality", pa.list_(pa.float64()), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("dup_of", pa.string()),
    ],
    metadata=METADATA,
)


@dataclass(frozen=True)
class IndexedClip:
    """What an index keeps of a clip beside its signature.

    Attributes:
        clip_id: of the clip manifest.
        src_id: of its source, so that a source can be forgotten.
        quality: sort key by which keepers were chosen, larger is better.
        kept: whether the clip is in the corpus; only kept clips stand against those of later corpora.
        dup_of: the keeper that it repeats, or None.
    """

    clip_id: str
    src_id: str
    quality: tuple[float, ...]
    kept: bool
    dup_of: str | None


def write_index(folder: Path, signatures: Mapping[str, Signature], clips: Sequence[IndexedClip]) -> dict[str, str]:
    """Write the index of a corpus; the folder appears whole or not at all, and depends on nothing but the arguments.

    Returns:
        Name of the shard in the folder that holds each clip, by clip id: the manifest's `embedding_ref`.
    """
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    places: dict[str, str] = {}
    shards = []
    with atomic_folder(folder) as part:
        for start in range(0, len(ordered), _CLIPS_PER_SHARD):
            chosen = ordered[start : start + _CLIPS_PER_SHARD]
            name = f"part-{start // _CLIPS_PER_SHARD:05d}.parquet"
            pq.write_table(_table(signatures, chosen), part / name, compression="zstd")
            shards.append({"name": name, "clips": len(chosen)})
            places.update((clip.clip_id, name) for clip in chosen)
        content = {
            "artifact": "signature_index",
            "schema_version": SCHEMA_VERSION,
            "backends": sorted({signatures[clip.clip_id].backend for clip in ordered}),
            "clips": len(ordered),
            "kept": sum(clip.kept for clip in ordered),
            "shards": shards,
        }
        write_json(part / INDEX_FILE, content)
    return places


def _table(signatures: Mapping[str, Signature], clips: Sequence[IndexedClip]) -> pa.Table:
    columns = [
        *signature_columns({clip.clip_id: signatures[clip.clip_id] for clip in clips}),
        pa.array([clip.src_id for clip in clips], pa.string()),
        pa.array([list(clip.quality) for clip in clips], pa.list_(pa.float64())),
        pa.array([clip.kept for clip in clips], pa.bool_()),
        pa.array([clip.dup_of for clip in clips], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=_INDEX_SCHEMA)


@dataclass(frozen=True)
class DuplicateIndex:
    """An index as later corpora read it.

    Attributes:
        address: path or bucket address of its folder.
        backends: what made its embeddings.
        kept: signatures of the corpus's kept clips, read when asked for.
    """

    address: str
    backends: frozenset[str]
    kept: SignatureShards

    @classmethod
    def open(cls, address: str | Path) -> Self:
        """Read which clips it has.

        Raises:
            InputError: no index there, of another version, or a shard of it is missing or damaged.
        """
        folder = str(address).rstrip("/")
        content = _read_content(f"{folder}/{INDEX_FILE}")
        shards = [f"{folder}/{shard['name']}" for shard in content["shards"]]
        kept: set[str] = set()
        for shard, expected in zip(shards, content["shards"], strict=True):
            table = read_shard(shard, ["clip_id", "kept"])
            if table.num_rows != expected["clips"]:
                raise InputError(f"{shard} has {table.num_rows} clips, its index says {expected['clips']}")
            kept.update(table.filter(table["kept"])["clip_id"].to_pylist())
        return cls(folder, frozenset(content["backends"]), SignatureShards(shards, frozenset(kept)))


def _read_content(address: str) -> dict[str, Any]:
    import fsspec

    try:
        with fsspec.open(address, "rb") as file:
            content = json.loads(file.read())
    except (OSError, ValueError) as error:
        raise InputError(f"there is no signature index at {address}: {error}") from error
    is_index = isinstance(content, dict) and content.get("artifact") == "signature_index"
    if not is_index or content.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{address} is not a signature index of version {SCHEMA_VERSION}; curate that corpus again")
    for shard in content["shards"]:
        if not isinstance(shard["name"], str) or "/" in shard["name"] or shard["name"].startswith("."):
            raise InputError(f"{address} names a shard that does not lie beside it: {shard['name']!r}")
    return dict(content)
