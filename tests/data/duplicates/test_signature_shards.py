"""Signatures in parquet: read back as they were, lazily, and refused when damaged."""

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nava.data.duplicates import signature_shards
from nava.data.duplicates.signature_shards import SignatureShards, write_signatures
from nava.runtime.errors import InputError
from tests.data.duplicates.conftest import draw_clip, random_signatures, sign_clip


def assert_same(one, other):
    assert one.backend == other.backend
    for name in ("embedding", "hashes", "sound"):
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def test_signatures_come_back_as_they_were(tmp_path):
    frames, audio = draw_clip()
    signatures = {"b": sign_clip(frames, audio), "a": sign_clip(None, audio[:8000]), "c": sign_clip(None, audio * 0)}
    write_signatures(tmp_path / "one.parquet", signatures)
    found = SignatureShards([tmp_path / "one.parquet"])
    assert list(found) == ["a", "b", "c"]
    for name, signature in signatures.items():
        assert_same(found[name], signature)


def test_the_order_of_writing_does_not_change_the_bytes(tmp_path):
    signatures = random_signatures(5)
    write_signatures(tmp_path / "one.parquet", signatures)
    write_signatures(tmp_path / "two.parquet", dict(reversed(signatures.items())))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_no_signatures_are_a_shard_too(tmp_path):
    write_signatures(tmp_path / "none.parquet", {})
    assert dict(SignatureShards([tmp_path / "none.parquet"])) == {}


def test_many_shards_are_one_mapping_and_each_is_read_once_in_a_walk(tmp_path, monkeypatch):
    signatures = random_signatures(90)
    names = sorted(signatures)
    paths = []
    for start in range(0, 90, 2):
        paths.append(tmp_path / f"{start}.parquet")
        write_signatures(paths[-1], {name: signatures[name] for name in names[start : start + 2]})
    found = SignatureShards(paths)
    reads = []
    original = signature_shards.read_shard
    monkeypatch.setattr(signature_shards, "read_shard", lambda address: reads.append(address) or original(address))
    for name in found:
        assert_same(found[name], signatures[name])
    assert len(found) == 90
    assert reads == [str(path) for path in paths]
    assert_same(found[names[0]], signatures[names[0]])  # long gone from memory


def test_only_wanted_clips_are_known(tmp_path):
    write_signatures(tmp_path / "one.parquet", random_signatures(5))
    found = SignatureShards([tmp_path / "one.parquet"], frozenset({"clip-0003"}))
    assert list(found) == ["clip-0003"]
    with pytest.raises(KeyError):
        found["clip-0001"]


def test_a_clip_in_two_shards_is_refused(tmp_path):
    for name in ("one", "two"):
        write_signatures(tmp_path / f"{name}.parquet", random_signatures(1))
    with pytest.raises(InputError, match=r"clip-0000 has a signature in .*one.parquet and in .*two.parquet"):
        SignatureShards([tmp_path / "one.parquet", tmp_path / "two.parquet"])


def test_shards_in_a_bucket_are_read(tmp_path):
    write_signatures(tmp_path / "one.parquet", random_signatures(3))
    address = "memory://bucket-of-shards/one.parquet"
    with fsspec.open(address, "wb") as file:
        file.write((tmp_path / "one.parquet").read_bytes())
    assert len(SignatureShards([address])) == 3


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_shard_that_cannot_be_used_is_refused(tmp_path, damage):
    path = tmp_path / "one.parquet"
    write_signatures(path, random_signatures(3))
    if damage == "missing":
        path.unlink()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    if damage == "other":
        pq.write_table(pa.table({"clip_id": ["a"]}), path)
    with pytest.raises(InputError, match=r"one\.parquet .*curate"):
        SignatureShards([path])
