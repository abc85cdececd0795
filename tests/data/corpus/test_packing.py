"""Packing: deterministic bytes, stable under growth, small when a source goes."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nava.artifacts.media_shard import MediaFile
from nava.data.corpus import packing
from nava.data.corpus.packing import as_media, plan_shards, shards_of, write_shard
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file

SHARD_BYTES = 10_000


def content(path, size=1000):
    return (path.encode() * size)[:size]


def media(source, number, size=1000):
    path = f"media/{source}-{number}.wav"
    return MediaFile(path, sha256_bytes(content(path, size)), size, source)


def files(sources, each=3, size=1000):
    return {item.path: item for item in (media(source, number, size) for source in sources for number in range(each))}


def opened(item):
    return io.BytesIO(content(item.path, item.size_bytes))


def test_ten_thousand_clips_are_a_few_objects():
    wanted = files([f"s{number:05d}" for number in range(5000)], each=2, size=500)
    plan = plan_shards(wanted, [], 500_000)
    assert len(wanted) == 10_000
    assert len(plan.new) == 10


def test_the_order_in_which_files_are_named_has_no_influence():
    wanted = files(["b", "a", "c"])
    assert plan_shards(dict(reversed(wanted.items())), [], SHARD_BYTES) == plan_shards(wanted, [], SHARD_BYTES)


def test_a_source_is_not_split_unless_it_is_larger_than_a_shard():
    plan = plan_shards(files(["a", "b", "c"], each=4), [], SHARD_BYTES)
    assert [sorted({item.src_id for item in shard}) for shard in plan.new] == [["a", "b"], ["c"]]
    large = plan_shards(files(["a"], each=25), [], SHARD_BYTES)
    assert [len(shard) for shard in large.new] == [10, 10, 5]


def test_growth_leaves_old_shards_as_they_are():
    old = plan_shards(files([f"s{number}" for number in range(20)]), [], SHARD_BYTES).files
    grown = plan_shards(files([f"s{number}" for number in range(23)]), old, SHARD_BYTES)
    assert sorted(grown.kept, key=lambda item: item.path) == sorted(old, key=lambda item: item.path)
    assert {item.src_id for shard in grown.new for item in shard} == {"s20", "s21", "s22"}


def test_only_the_shards_of_a_source_that_goes_are_written_again():
    names = [f"s{number:02d}" for number in range(20)]
    old = plan_shards(files(names), [], SHARD_BYTES).files
    holding = {item.shard for item in old if item.src_id == "s07"}
    rest = plan_shards(files([name for name in names if name != "s07"]), old, SHARD_BYTES)
    assert {item.shard for item in old} - {item.shard for item in rest.kept} == holding
    assert len(holding) == 1
    assert len(rest.new) == 1


def test_a_file_with_other_bytes_is_packed_again():
    wanted = files(["a", "b"])
    old = plan_shards(wanted, [], SHARD_BYTES).files
    changed = {**wanted, "media/a-0.wav": MediaFile("media/a-0.wav", "0" * 64, 1000, "a")}
    plan = plan_shards(changed, old, SHARD_BYTES)
    assert not plan.kept
    assert {item.path: as_media(item) for item in plan.files} == changed


def test_many_small_shards_are_merged():
    packed, wanted = [], {}
    for number in range(packing.MAX_SMALL_SHARDS):
        wanted |= files([f"s{number:02d}"], each=1)
        packed = plan_shards(wanted, packed, SHARD_BYTES).files
    assert len(shards_of(packed)) == packing.MAX_SMALL_SHARDS
    wanted |= files(["t0"], each=1)
    packed = plan_shards(wanted, packed, SHARD_BYTES).files
    assert len(shards_of(packed)) == packing.MAX_SMALL_SHARDS + 1
    merged = plan_shards(wanted | files(["t1"], each=1), packed, SHARD_BYTES)
    assert not merged.kept
    assert len(merged.new) == 2


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sets(st.integers(0, 30), max_size=12), min_size=1, max_size=6),
    sizes=st.lists(st.integers(0, 15_000), min_size=31, max_size=31),
)
def test_every_file_is_packed_once_whatever_the_history(steps, sizes):
    packed = []
    for sources in steps:
        wanted = {item.path: item for number in sources for item in [media(f"s{number}", 0, sizes[number])]}
        plan = plan_shards(wanted, packed, SHARD_BYTES)
        packed = plan.files
        assert {item.path: as_media(item) for item in packed} == wanted
        assert len(packed) == len(wanted)
        assert all(members[0].offset >= tarfile.BLOCKSIZE for members in shards_of(packed).values())


def test_a_shard_is_a_plain_tar_whose_bytes_lie_where_the_index_says(tmp_path):
    long = "media/" + "ü" * 120 + ".wav"
    wanted = files(["a"], size=1234) | {long: MediaFile(long, sha256_bytes(content(long)), 1000, "a")}
    (shard,) = plan_shards(wanted, [], SHARD_BYTES).new
    path = write_shard(tmp_path, shard, opened)
    data = path.read_bytes()
    assert path.name == f"{shard[0].shard}.tar"
    for item in shard:
        assert data[item.offset : item.offset + item.size_bytes] == content(item.path, item.size_bytes)
    with tarfile.open(path) as tar:
        assert {member.name for member in tar} == set(wanted)
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in tar} == {(0, 0, "", 0o644)}
        assert tar.extractfile(long).read() == content(long)


def test_the_same_files_are_the_same_bytes(tmp_path):
    (shard,) = plan_shards(files(["a"]), [], SHARD_BYTES).new
    assert sha256_file(write_shard(tmp_path / "one", shard, opened)) == sha256_file(
        write_shard(tmp_path / "two", shard, opened)
    )


def test_a_finished_shard_is_found_again(tmp_path):
    (shard,) = plan_shards(files(["a"]), [], SHARD_BYTES).new
    path = write_shard(tmp_path, shard, opened)

    def refuse(item):
        raise AssertionError(f"{item.path} was opened")

    assert write_shard(tmp_path, shard, refuse) == path


@pytest.mark.parametrize("data", [b"other", b"", content("media/a-0.wav") + b"!"])
def test_a_file_that_is_not_what_the_manifest_says_is_refused_and_leaves_nothing(tmp_path, data):
    (shard,) = plan_shards(files(["a"], each=1), [], SHARD_BYTES).new
    with pytest.raises(InputError, match=r"media/a-0\.wav"):
        write_shard(tmp_path, shard, lambda item: io.BytesIO(data))
    assert not list(tmp_path.iterdir())
