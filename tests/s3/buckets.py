"""What the tests of both S3 services do with buckets, by boto3 alone: nothing of what they test."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import boto3
import torch

from nava.artifacts.clip_manifest import kept_rows
from nava.config.loader import LoaderConfig
from nava.data.loader.cache import ShardCache
from nava.data.loader.loader import LatentLoader, LoadedBatch
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shards import LatentShards
from nava.runtime.hashing import sha256_bytes, sha256_file
from tests.data.loader.sized_clips import one_stage

_KINDS = ("video", "audio", "audio_48k")


def put_folder(folder: Path, bucket: str, prefix: str) -> dict[str, str]:
    """Put every file of a folder below a prefix; returns their hashes by path."""
    client = boto3.client("s3")
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        client.upload_file(str(path), bucket, f"{prefix}/{name}")
        hashes[name] = sha256_file(path)
    return hashes


def object_hashes(bucket: str, prefix: str) -> dict[str, str]:
    """Hashes of the objects below a prefix, by their path there, of bytes that were fetched for it."""
    client = boto3.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    bodies = ((key, client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys)
    return {key.removeprefix(f"{prefix}/"): sha256_bytes(body) for key, body in bodies}


def check_media(folder: Path) -> int:
    """Every file that the kept rows of a manifest name is what the manifest says; returns how many there are."""
    named = {}
    for row in kept_rows(folder):
        named |= {row[f"{kind}_path"]: row[f"{kind}_sha256"] for kind in _KINDS if row.get(f"{kind}_path")}
    assert {path: sha256_file(folder / path) for path in named} == named
    return len(named)


def batches(shards: LatentShards, count: int) -> Iterator[LoadedBatch]:
    """The first micro-batches of a stage that trains on sound, and on pictures with sound."""
    sampler = MicroBatchSampler(shards, one_stage(2), LoaderConfig(), 1, 0)
    yield from islice(LatentLoader(shards, sampler), count)


def check_batches(address: str, cache: ShardCache, here: Path, count: int) -> set[str]:
    """Batches through the cache are those of the local folder; returns the clips they had."""
    there, local = LatentShards(address, cache), LatentShards(here)
    assert there.entries == local.entries
    seen: set[str] = set()
    for loaded in batches(there, count):
        latents, ids = loaded.latents, loaded.latents.ids
        expected = local.read(ids, with_video=loaded.sampled.task.modality == "av")
        assert torch.equal(latents.audio_BLC, expected.audio_BLC)
        assert torch.equal(latents.text_BND, expected.text_BND)
        assert (latents.video_BCTHW is None) == (expected.video_BCTHW is None)
        if latents.video_BCTHW is not None and expected.video_BCTHW is not None:
            assert torch.equal(latents.video_BCTHW, expected.video_BCTHW)
        seen |= set(ids)
    cached = list(cache.folder.glob("??/*.safetensors"))
    assert cached, "nothing came through the cache"
    assert all(sha256_file(path) == path.stem for path in cached)
    return seen
