"""Small clips in memory: which are held, and that they are those of the files."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nava.artifacts.latent_shard import LatentEntry, bucket_name, sequence_length, write_index
from nava.data.held_rows import SMALL_CLIP_BYTES, held_rows
from nava.data.shard_file import ShardFile
from nava.data.shards import LatentBatch, LatentShards, write_shard
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file

VIDEO, TEXT = (3, 2, 2, 2), (4, 5)
SHARDS, PER_SHARD = 3, 4


def entry(clip_id: str, shard: str, row: int, audio: tuple[int, int] = (6, 2), dtype: str = "F32") -> LatentEntry:
    return LatentEntry(
        clip_id=clip_id,
        bucket=bucket_name(VIDEO, audio),
        modality="av",
        split="train",
        shard=shard,
        row=row,
        shard_sha256="",
        dtype=dtype,
        video_shape=VIDEO,
        audio_shape=audio,
        text_shape=TEXT,
        seq_len=sequence_length(VIDEO, audio),
        video_codec_id="v",
        audio_codec_id="a",
        text_encoder_id="t",
        caption=f"caption of {clip_id}",
        dropped_words=0,
        tags=(),
    )


def shard_of(name: str, audio: tuple[int, int], clips: int = 2) -> dict[str, list[LatentEntry]]:
    return {name: [entry(f"{name}-{row}", name, row, audio) for row in range(clips)]}


def write_set(folder: Path, dtype: torch.dtype) -> Path:
    """Random values; ids count against the order of rows."""
    shapes, audio = {"video_BCTHW": VIDEO, "text_BND": TEXT}, (6, 2)
    entries = []
    for number in range(SHARDS):
        shard = f"{bucket_name(VIDEO, audio)}/{number:05d}.safetensors"
        rows = {
            name: torch.randn(PER_SHARD, *shape).to(dtype) for name, shape in (shapes | {"audio_BLC": audio}).items()
        }
        write_shard(folder / shard, rows, "key")
        known = {"shard_sha256": sha256_file(folder / shard), "dtype": "F32" if dtype is torch.float32 else "BF16"}
        entries += [
            LatentEntry(**vars(entry(f"{number}-{PER_SHARD - row}", shard, row)) | known) for row in range(PER_SHARD)
        ]
    write_index(folder, entries)
    return folder


def same(one: LatentBatch, other: LatentBatch) -> bool:
    pairs = ((one.video_BCTHW, other.video_BCTHW), (one.audio_BLC, other.audio_BLC), (one.text_BND, other.text_BND))
    equal = all(left is right is None or torch.equal(left, right) for left, right in pairs)
    return equal and (one.ids, one.captions) == (other.ids, other.captions)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set"), request.param)


IDS = st.lists(
    st.builds("{}-{}".format, st.integers(0, SHARDS - 1), st.integers(1, PER_SHARD)), min_size=1, max_size=20
)


@given(batches=st.lists(IDS, min_size=1, max_size=4), with_video=st.booleans(), stored=st.booleans())
def test_what_is_held_is_what_the_files_hold(
    folder: Path, batches: Sequence[Sequence[str]], with_video: bool, stored: bool
) -> None:
    held, files = LatentShards(folder), LatentShards(folder, held_bytes=0)
    dtype = None if stored else torch.float32
    for ids in batches:
        assert same(*(source.read(ids, with_video=with_video, dtype=dtype) for source in (held, files)))


def test_a_batch_has_memory_of_its_own(folder: Path) -> None:
    shards = LatentShards(folder)
    before = shards.read(["0-1"], dtype=None)
    before.text_BND.zero_()
    assert shards.read(["0-1"], dtype=None).text_BND.any()


def test_a_shard_is_read_when_its_first_clip_is_wanted_and_never_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    read_into = ShardFile.read_into
    monkeypatch.setattr(ShardFile, "read_into", lambda *given: (read.append(given[1]), read_into(*given))[1])
    shards = LatentShards(folder)
    for ids, shards_read in ((["1-1"], 1), (["1-2", "1-4"], 1), (["1-3", "2-1", "2-2"], 2), (["2-4"], 2)):
        shards.read(ids)
        assert len(read) == 3 * shards_read


def test_threads_read_a_shard_once_and_all_see_it_whole(folder: Path) -> None:
    ids = [f"{number}-{row}" for number in range(SHARDS) for row in range(1, PER_SHARD + 1)]
    expected = LatentShards(folder, held_bytes=0).read(ids)
    for _ in range(10):
        shards = LatentShards(folder)
        with ThreadPoolExecutor(8) as pool:
            assert all(same(batch, expected) for batch in pool.map(shards.read, [ids] * 8))


def test_a_shard_that_is_cut_short_once_it_was_verified_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path, torch.float32)
    shards = LatentShards(tmp_path)
    path = tmp_path / shards.entries["1-1"].shard

    def too_soon(_file: ShardFile, _name: str, _first: int, _memory: memoryview) -> None:
        raise OSError("the shard ends at byte 7")

    monkeypatch.setattr(ShardFile, "read_into", too_soon)
    with pytest.raises(InputError, match=rf"{path} is damaged: the shard ends at byte 7"):
        shards.read(["1-1"])
    monkeypatch.undo()
    assert same(shards.read(["1-1"]), LatentShards(tmp_path, held_bytes=0).read(["1-1"]))


def test_sizes_that_need_least_come_first_and_what_has_no_room_is_read_from_files() -> None:
    small, large = shard_of("small", (6, 2)), shard_of("large", (60, 2))
    needed = 2 * 4 * (24 + 20 + 12)
    assert set(held_rows(small | large, 10**6)) == {"small-0", "small-1", "large-0", "large-1"}
    assert set(held_rows(large | small, needed)) == {"small-0", "small-1"}
    assert held_rows(small | large, needed - 1) == {}
    assert held_rows({}, 10**6) == {}


def test_large_clips_are_never_held() -> None:
    longest = SMALL_CLIP_BYTES // 4 - 24 - 20
    assert set(held_rows(shard_of("a", (longest, 1)), 2**40)) == {"a-0", "a-1"}
    assert held_rows(shard_of("a", (longest + 1, 1)), 2**40) == {}


def test_a_shard_of_several_sizes_or_of_an_unknown_type_is_left_to_its_verification() -> None:
    assert held_rows({"s": [entry("a", "s", 0), entry("b", "s", 1, (7, 2))]}, 10**6) == {}
    assert held_rows({"s": [entry("a", "s", 0, dtype="F16")]}, 10**6) == {}


def test_splits_are_held_apart() -> None:
    heldout = {"h": [replace(entry("h-0", "h", 0), split="heldout")]}
    found = held_rows(shard_of("a", (6, 2)) | heldout, 10**6)
    assert (found["a-0"].missing, found["h-0"].missing) == ({"a"}, {"h"})


def test_shards_of_a_size_are_held_together_and_know_their_clips() -> None:
    found = held_rows(shard_of("a", (6, 2)) | shard_of("b", (6, 2), 3) | shard_of("c", (7, 2)), 10**6)
    held = found["a-0"]
    assert found["b-2"] is held is not found["c-0"]
    assert held.missing == {"a", "b"}
    assert held.numbers(["b-2", "a-1"]) == [4, 1]
    assert held.numbers(["b-2", "c-0"]) is None
    assert [known.clip_id for known in held.entries([4, 1])] == ["b-2", "a-1"]
    assert held.captions([4, 1]) == ["caption of b-2", "caption of a-1"]
