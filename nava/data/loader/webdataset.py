"""Latents as WebDataset: tar files of npy and JSON members, for those who load with other tools."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from nava.artifacts.latent_shard import LatentEntry
from nava.data.shards import LatentShards
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import atomic_file, write_json

LISTING_FILE = "tars.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ExportedTar:
    """One tar file: clips of one bucket and split."""

    file: str
    sha256: str
    bucket: str
    split: str
    clips: int


def export_webdataset(shards: LatentShards, folder: Path, split: str | None = None) -> list[ExportedTar]:
    """Write every shard as ``<split>-<bucket>-<nnnnn>.tar``, and ``tars.json`` last.

    Members of a clip, in this order: ``<clip_id>.video.npy`` [C, T, H, W] if it has a picture, ``<clip_id>.audio.npy``
    [L, C], ``<clip_id>.text.npy`` [N, D], ``<clip_id>.voice.npy`` [S, E] if it has voices, and ``<clip_id>.json`` with
    its caption, tags and identities. Values are float32. The same shards give the same bytes.

    Args:
        shards: the latents.
        folder: where the tar files go.
        split: only ``train`` or ``heldout``.

    Raises:
        InputError: there is nothing to export, a shard is damaged, or an id would break a member's name.
    """
    by_shard: dict[str, list[LatentEntry]] = {}
    for entry in shards.select(split):
        by_shard.setdefault(entry.shard, []).append(entry)
    if not by_shard:
        raise InputError(f"{shards.location} has no clip{f' of split {split}' if split else ''} to export")
    tars = []
    for shard, members in sorted(by_shard.items()):
        members.sort(key=lambda entry: entry.row)
        first = members[0]
        name = f"{first.split}-{shard.removesuffix('.safetensors').replace('/', '-')}.tar"
        with atomic_file(folder / name) as path:
            _write_tar(path, shards, members)
        tars.append(ExportedTar(name, sha256_file(folder / name), first.bucket, first.split, len(members)))
    write_json(folder / LISTING_FILE, {"schema_version": SCHEMA_VERSION, "tars": [asdict(tar) for tar in tars]})
    return tars


def _write_tar(path: Path, shards: LatentShards, entries: Sequence[LatentEntry]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in entries:
            for name, data in _members(shards, entry):
                info = tarfile.TarInfo(f"{entry.clip_id}.{name}")
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))


def _members(shards: LatentShards, entry: LatentEntry) -> Iterator[tuple[str, bytes]]:
    # WebDataset takes what is before the first dot for the sample's key.
    if "." in entry.clip_id or "/" in entry.clip_id:
        raise InputError(f"clip '{entry.clip_id}' cannot be a member's name in a WebDataset: it has a dot or a slash")
    batch = shards.read([entry.clip_id])
    if batch.video_BCTHW is not None:
        yield "video.npy", _npy(batch.video_BCTHW[0])
    yield "audio.npy", _npy(batch.audio_BLC[0])
    yield "text.npy", _npy(batch.text_BND[0])
    if batch.voice_SE is not None:
        yield "voice.npy", _npy(batch.voice_SE)
    known = asdict(entry)
    for place in ("shard", "row", "shard_sha256", "dtype", "voice_row"):
        del known[place]
    yield "json", json.dumps(known, sort_keys=True, ensure_ascii=False).encode()


def _npy(tensor: Tensor) -> bytes:
    file = io.BytesIO()
    np.save(file, tensor.numpy(), allow_pickle=False)
    return file.getvalue()
