"""The cache of shards: verified, whole, bounded, and safe for several processes."""

import multiprocessing
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from nava.config.loader import LoaderConfig
from nava.data.loader.cache import ShardCache
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes


@pytest.fixture
def bucket() -> Iterator[str]:
    address = f"memory://cache-{uuid.uuid4().hex}"
    yield address
    filesystem = fsspec.filesystem("memory")
    filesystem.rm(address, recursive=True)


def put(bucket: str, content: bytes) -> tuple[str, str]:
    """An object in the bucket: its address and hash."""
    sha256 = sha256_bytes(content)
    address = f"{bucket}/{sha256[:8]}"
    with fsspec.open(address, "wb") as file:
        file.write(content)
    return address, sha256


def held(cache: ShardCache, address: str, sha256: str) -> bytes:
    with cache.held(address, sha256) as path:
        return path.read_bytes()


def names(cache: ShardCache) -> set[str]:
    return {path.stem for path in cache.folder.rglob("*.safetensors")}


def test_a_file_is_fetched_once(tmp_path: Path, bucket: str) -> None:
    cache = ShardCache(tmp_path, 10**6)
    address, sha256 = put(bucket, b"latents" * 1000)
    assert held(cache, address, sha256) == b"latents" * 1000
    fsspec.filesystem("memory").rm(address)
    assert held(cache, address, sha256) == b"latents" * 1000
    put(bucket, b"rest")


def test_another_content_is_not_taken_and_nothing_is_left(tmp_path: Path, bucket: str) -> None:
    cache = ShardCache(tmp_path, 10**6)
    address, _ = put(bucket, b"new")
    with pytest.raises(InputError, match=r"came with sha256 .*, the index says 000000000000: the shard is damaged"):
        held(cache, address, "0" * 64)
    with pytest.raises(InputError, match="nothing-here cannot be fetched"):
        held(cache, f"{bucket}/nothing-here", "1" * 64)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, bucket: str) -> None:
    cache = ShardCache(tmp_path, 250)
    objects = [put(bucket, bytes([number]) * 100) for number in range(3)]
    for age, (address, sha256) in enumerate(objects[:2]):
        held(cache, address, sha256)
        path = tmp_path / sha256[:2] / f"{sha256}.safetensors"
        os.utime(path, (1000 + age, 1000 + age))
    held(cache, *objects[0])
    held(cache, *objects[2])
    assert names(cache) == {objects[0][1], objects[2][1]}


def test_a_file_larger_than_the_cache_is_kept_until_the_next(tmp_path: Path, bucket: str) -> None:
    cache = ShardCache(tmp_path, 50)
    large, small = put(bucket, b"x" * 100), put(bucket, b"y" * 10)
    assert held(cache, *large) == b"x" * 100
    assert names(cache) == {large[1]}
    held(cache, *small)
    assert names(cache) == {small[1]}


def test_a_file_that_is_held_is_not_removed(tmp_path: Path, bucket: str) -> None:
    cache, other = ShardCache(tmp_path, 150), ShardCache(tmp_path, 150)
    first, second = put(bucket, b"a" * 100), put(bucket, b"c" * 100)
    held(cache, *first)
    with cache.held(*first) as path:
        held(other, *second)
        assert path.is_file()
    other.make_room(keep=tmp_path / second[1][:2] / f"{second[1]}.safetensors")
    assert names(cache) == {second[1]}


def test_parts_of_a_killed_fetch_are_removed_and_not_read(tmp_path: Path, bucket: str) -> None:
    address, sha256 = put(bucket, b"whole")
    part = tmp_path / sha256[:2] / ".0123abcd.part.safetensors"
    part.parent.mkdir()
    part.write_bytes(b"who")
    cache = ShardCache(tmp_path, 10**6)
    assert held(cache, address, sha256) == b"whole"
    assert not part.exists()


def _hold_all(folder: str, bucket: Path, hashes: list[str], answers: multiprocessing.Queue) -> None:
    cache = ShardCache(Path(folder), 250)
    good = 0
    for _ in range(20):
        for sha256 in hashes:
            with cache.held(f"file://{bucket}/{sha256}", sha256) as path:
                good += sha256_bytes(path.read_bytes()) == sha256
    answers.put(good)


def test_several_processes_share_a_folder_that_is_too_small_for_all(tmp_path: Path) -> None:
    bucket, hashes = tmp_path / "bucket", []
    bucket.mkdir()
    for number in range(5):
        content = bytes([number]) * 100
        hashes.append(sha256_bytes(content))
        (bucket / hashes[-1]).write_bytes(content)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [
        context.Process(
            target=_hold_all, args=(str(tmp_path / "cache"), bucket, hashes[turn:] + hashes[:turn], answers)
        )
        for turn in range(3)
    ]
    for worker in workers:
        worker.start()
    assert [answers.get() for _ in workers] == [100, 100, 100]
    for worker in workers:
        worker.join()
    cache = ShardCache(tmp_path / "cache", 250)
    cache.make_room()
    assert sum(path.stat().st_size for path in cache.folder.rglob("*.safetensors")) <= 250
    shutil.rmtree(cache.folder)


def test_the_settings_say_where_and_how_much() -> None:
    cache = ShardCache.of(LoaderConfig(cache_folder="/somewhere", cache_mb=3))
    assert (cache.folder, cache.max_bytes) == (Path("/somewhere"), 3 * 2**20)
    assert ShardCache.default().folder.name == "shards"
