"""Signatures in parquet: one shard per source while it is worked on, and those of a signature index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nava.data.curation.media import RecentlyUsed
from nava.data.duplicates.signature import FRAMES, HASH_BITS, SOUND_BANDS, Signature
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file

SCHEMA_VERSION = 1
SHARD_NAME = "signatures.parquet"
_OPEN_SHARDS = 32

SIGNATURE_FIELDS = (
    pa.field("clip_id", pa.string(), nullable=False),
    pa.field("backend", pa.string(), nullable=False),
    pa.field("embedding", pa.list_(pa.float16()), nullable=False),
    pa.field("hashes", pa.binary(FRAMES * HASH_BITS // 8), nullable=False),
    pa.field("sound", pa.list_(pa.float16()), nullable=False),  # 12 bands per 20 ms, row by row
)
METADATA = {b"nava.artifact": b"signatures", b"nava.schema_version": str(SCHEMA_VERSION).encode()}
SIGNATURE_SCHEMA = pa.schema(list(SIGNATURE_FIELDS), metadata=METADATA)


def signature_columns(signatures: Mapping[str, Signature]) -> list[pa.Array]:
    """The columns of `SIGNATURE_FIELDS`, in the mapping's order."""
    values = list(signatures.values())
    hashes = [np.packbits(value.hashes).tobytes() for value in values]
    return [
        pa.array(list(signatures), pa.string()),
        pa.array([value.backend for value in values], pa.string()),
        _lists([value.embedding for value in values]),
        pa.array(hashes, pa.binary(FRAMES * HASH_BITS // 8)),
        _lists([value.sound for value in values]),
    ]


def write_signatures(path: Path, signatures: Mapping[str, Signature]) -> None:
    """Write one shard, in the order of clip ids; atomic."""
    ordered = {clip_id: signatures[clip_id] for clip_id in sorted(signatures)}
    table = pa.Table.from_arrays(signature_columns(ordered), schema=SIGNATURE_SCHEMA)
    with atomic_file(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_shard(address: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a shard, from a path or a bucket address.

    Raises:
        InputError: it is not there, damaged, or of another kind or version.
    """
    import fsspec

    try:
        with fsspec.open(address, "rb") as file:
            table = pq.read_table(file, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"signatures at {address} cannot be read: {error}; curate their source again") from error
    metadata = table.schema.metadata or {}
    if any(metadata.get(key) != value for key, value in METADATA.items()):
        raise InputError(f"{address} does not hold signatures of version {SCHEMA_VERSION}; curate its source again")
    return table


class SignatureShards(Mapping[str, Signature]):
    """Signatures of many shards by clip id, read when asked for; the latest few shards stay in memory.

    Args:
        addresses: paths or bucket addresses of shards.
        only: ids to know of; None: all.

    Raises:
        InputError: a shard cannot be read, or two shards have the same clip.
    """

    def __init__(self, addresses: Sequence[str | Path], only: frozenset[str] | None = None) -> None:
        self._addresses = [str(address) for address in addresses]
        self._open: RecentlyUsed[dict[str, Signature]] = RecentlyUsed(_OPEN_SHARDS)
        self._shard_of: dict[str, int] = {}
        for number, address in enumerate(self._addresses):
            for clip_id in read_shard(address, ["clip_id"])["clip_id"].to_pylist():
                if only is not None and clip_id not in only:
                    continue
                if clip_id in self._shard_of:
                    other = self._addresses[self._shard_of[clip_id]]
                    raise InputError(f"clip {clip_id} has a signature in {other} and in {address}")
                self._shard_of[clip_id] = number

    def __getitem__(self, clip_id: str) -> Signature:
        address = self._addresses[self._shard_of[clip_id]]
        return self._open.get(address, lambda: _signatures(read_shard(address)))[clip_id]

    def __iter__(self) -> Iterator[str]:
        """Ids shard by shard, so that a walk over all reads each shard once."""
        return iter(self._shard_of)

    def __len__(self) -> int:
        return len(self._shard_of)


def _lists(arrays: Sequence[npt.NDArray[np.float32]]) -> pa.Array:
    offsets = np.cumsum([0, *(array.size for array in arrays)]).astype(np.int32)
    flat = np.concatenate([np.empty(0, np.float16), *(array.reshape(-1).astype(np.float16) for array in arrays)])
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float16()))


def _signatures(table: pa.Table) -> dict[str, Signature]:
    columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in ("clip_id", "backend", "hashes")}
    embeddings, sounds = _rows(table["embedding"]), _rows(table["sound"])
    rows = zip(columns["clip_id"], columns["backend"], columns["hashes"], embeddings, sounds, strict=True)
    return {
        clip_id: Signature(
            backend,
            embedding.astype(np.float32),
            np.unpackbits(np.frombuffer(hashes, np.uint8)).astype(bool).reshape(FRAMES, HASH_BITS),
            sound.astype(np.float32).reshape(-1, SOUND_BANDS),
        )
        for clip_id, backend, hashes, embedding, sound in rows
    }


def _rows(column: pa.ChunkedArray) -> list[npt.NDArray[np.float16]]:
    lists = column.combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.split(flat, lists.offsets.to_numpy()[1:-1] - lists.offsets[0].as_py()) if len(lists) else []
