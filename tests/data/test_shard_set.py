"""Sets of shards in a bucket: uploaded with the index last, read through a cache, verified on this side."""

import uuid
from itertools import islice
from pathlib import Path

import fsspec
import pytest
import torch

from nava.config.loader import LoaderConfig
from nava.data.loader.cache import ShardCache
from nava.data.loader.loader import LatentLoader
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shard_set import is_remote, upload_set
from nava.data.shards import LatentShards
from nava.runtime.errors import InputError
from tests.data.loader.sized_clips import one_stage
from tests.data.test_shards import write_set

CLIPS = {"a": "av", "b": "av", "c": "av", "h1": "av", "s1": "audio"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_set(tmp_path / "set", CLIPS)
    (folder / "codec" / "text").mkdir(parents=True)
    (folder / "codec" / "text" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def address(folder: Path) -> str:
    address = f"memory://sets/{uuid.uuid4().hex}"
    upload_set(folder, address)
    return address


@pytest.fixture
def cache(tmp_path: Path) -> ShardCache:
    return ShardCache(tmp_path / "cache", 10**7)


def test_a_set_in_a_bucket_reads_as_the_folder_does(folder: Path, address: str, cache: ShardCache) -> None:
    here, there = LatentShards(folder), LatentShards(address, cache)
    assert there.entries == here.entries
    batch, expected = there.read(["c", "a", "b"]), here.read(["c", "a", "b"])
    assert torch.equal(batch.video_BCTHW, expected.video_BCTHW)
    assert (there.codec_folder / "text" / "config.json").read_text() == "{}"


def test_only_shards_that_are_wanted_are_fetched(address: str, cache: ShardCache) -> None:
    shards = LatentShards(address, cache)
    assert list(cache.folder.glob("??/*.safetensors")) == []
    shards.read(["s1"])
    assert [path.stem for path in cache.folder.glob("??/*.safetensors")] == [shards.entries["s1"].shard_sha256]


def test_a_copy_that_went_bad_here_is_fetched_again(folder: Path, address: str, cache: ShardCache) -> None:
    LatentShards(address, cache).read(["s1"])
    (copy,) = cache.folder.glob("??/*.safetensors")
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    again = LatentShards(address, cache).read(["s1"])
    assert torch.equal(again.audio_BLC, LatentShards(folder).read(["s1"]).audio_BLC)


def test_a_shard_that_is_bad_in_the_bucket_is_named(address: str, cache: ShardCache) -> None:
    shards = LatentShards(address, cache)
    with fsspec.open(f"{address}/{shards.entries['s1'].shard}", "wb") as file:
        file.write(b"other")
    with pytest.raises(InputError, match=r"a5/00000.safetensors came with sha256 .* upload the set again"):
        shards.read(["s1"])


def test_the_index_goes_last_and_without_it_there_is_no_set(folder: Path, cache: ShardCache) -> None:
    address = f"memory://sets/{uuid.uuid4().hex}"
    names = upload_set(folder, address)
    assert names[-1] == "index.parquet"
    fsspec.filesystem("memory").rm(f"{address}/index.parquet")
    with pytest.raises(InputError, match=r"index\.parquet is missing"):
        LatentShards(address, cache)


def test_a_new_set_at_the_same_address_is_seen(tmp_path: Path, address: str, cache: ShardCache) -> None:
    assert len(LatentShards(address, cache).entries) == 5
    upload_set(write_set(tmp_path / "new", {"x": "audio"}), address)
    assert list(LatentShards(address, cache).entries) == ["x"]


def test_names_that_lead_out_of_the_set_are_refused(address: str, cache: ShardCache) -> None:
    filesystem = fsspec.filesystem("memory")
    key = f"/{address.removeprefix('memory://')}/codec/../../evil"
    filesystem.store[key] = filesystem.store[f"/{address.removeprefix('memory://')}/index.parquet"]
    with pytest.raises(InputError, match="would lie outside the set"):
        LatentShards(address, cache)
    del filesystem.store[key]


def test_a_folder_without_a_set_is_not_uploaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no latent shards in"):
        upload_set(tmp_path, "memory://nowhere")


@pytest.mark.parametrize(
    ("location", "remote"), [("s3://bucket/x", True), ("memory://x", True), ("/folder", False), ("file:///x", False)]
)
def test_what_is_a_bucket(location: str, remote: bool) -> None:
    assert is_remote(location) is remote


def test_a_set_in_s3_is_loaded_through_the_cache(
    folder: Path, cache: ShardCache, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An S3 server of its own: uploaded, listed, fetched, and its shards read through the loader."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"latents-{uuid.uuid4().hex[:8]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    upload_set(folder, f"s3://{bucket}/set")
    shards, here = LatentShards(f"s3://{bucket}/set", cache), LatentShards(folder)
    sampler = MicroBatchSampler(shards, one_stage(2), LoaderConfig(), 1, 0)
    for loaded in islice(LatentLoader(shards, sampler), 6):
        assert torch.equal(loaded.latents.audio_BLC, here.read(loaded.latents.ids).audio_BLC)
