"""The signature index: a function of its clips, read by later corpora from a path or a bucket."""

import json

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from nava.data.duplicates import index as index_module
from nava.data.duplicates.index import INDEX_FILE, DuplicateIndex, IndexedClip, write_index
from nava.runtime.errors import InputError
from tests.data.duplicates.conftest import random_signatures


def clips_of(signatures, dropped=()):
    return [
        IndexedClip(name, f"src-{name}", (640.0, 3.5), name not in dropped, "clip-0000" if name in dropped else None)
        for name in signatures
    ]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_kept_clips_are_read_back_and_dropped_ones_are_not(tmp_path):
    signatures = random_signatures(5)
    write_index(tmp_path / "signatures", signatures, clips_of(signatures, dropped=("clip-0002",)))
    index = DuplicateIndex.open(tmp_path / "signatures")
    assert sorted(index.kept) == ["clip-0000", "clip-0001", "clip-0003", "clip-0004"]
    assert index.backends == {"dct3d/2"}
    np.testing.assert_array_equal(index.kept["clip-0003"].embedding, signatures["clip-0003"].embedding)


def test_everything_known_of_a_clip_is_in_the_table(tmp_path):
    signatures = random_signatures(2)
    write_index(tmp_path / "signatures", signatures, clips_of(signatures, dropped=("clip-0001",)))
    row = pq.read_table(tmp_path / "signatures" / "part-00000.parquet").to_pylist()[1]
    expected = {"clip_id": "clip-0001", "src_id": "src-clip-0001", "kept": False, "dup_of": "clip-0000"}
    assert {name: row[name] for name in expected} == expected
    assert row["quality"] == [640.0, 3.5]
    content = json.loads((tmp_path / "signatures" / INDEX_FILE).read_text())
    assert (content["clips"], content["kept"]) == (2, 1)


def test_the_files_depend_on_the_clips_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "_CLIPS_PER_SHARD", 4)
    signatures = random_signatures(10)
    clips = clips_of(signatures)
    places = write_index(tmp_path / "one", signatures, clips)
    assert places == write_index(tmp_path / "two", dict(reversed(signatures.items())), clips[::-1])
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert sorted(set(places.values())) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert places["clip-0004"] == "part-00001.parquet"
    assert len(DuplicateIndex.open(tmp_path / "one").kept) == 10


def test_an_index_takes_the_place_of_the_old_one_whole(tmp_path):
    folder = tmp_path / "signatures"
    for count in (6, 2):
        signatures = random_signatures(count)
        write_index(folder, signatures, clips_of(signatures))
    assert len(DuplicateIndex.open(folder).kept) == 2
    with pytest.raises(KeyError):
        write_index(folder, {}, clips_of(signatures))
    assert len(DuplicateIndex.open(folder).kept) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["signatures"]


def test_an_empty_corpus_has_an_index(tmp_path):
    write_index(tmp_path / "signatures", {}, [])
    assert len(DuplicateIndex.open(tmp_path / "signatures").kept) == 0


def test_an_index_in_a_bucket_is_read(tmp_path):
    signatures = random_signatures(3)
    write_index(tmp_path / "signatures", signatures, clips_of(signatures))
    for name, data in files(tmp_path / "signatures").items():
        with fsspec.open(f"memory://bucket-of-indexes/corpus/{name}", "wb") as file:
            file.write(data)
    index = DuplicateIndex.open("memory://bucket-of-indexes/corpus/")
    assert sorted(index.kept) == sorted(signatures)
    assert index.address == "memory://bucket-of-indexes/corpus"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "not a signature index of version 1"),
        ({"artifact": "other"}, "not a signature index"),
        ({"shards": [{"name": "../part-00000.parquet", "clips": 3}]}, "does not lie beside it"),
        ({"shards": [{"name": "part-00007.parquet", "clips": 3}]}, "part-00007.parquet cannot be read"),
        ({"shards": [{"name": "part-00000.parquet", "clips": 4}]}, "has 3 clips, its index says 4"),
    ],
)
def test_an_index_that_cannot_be_trusted_is_refused(tmp_path, change, message):
    folder = tmp_path / "signatures"
    signatures = random_signatures(3)
    write_index(folder, signatures, clips_of(signatures))
    content = json.loads((folder / INDEX_FILE).read_text()) | change
    (folder / INDEX_FILE).write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        DuplicateIndex.open(folder)


def test_no_index_is_said_plainly(tmp_path):
    with pytest.raises(InputError, match=r"there is no signature index at .*/nowhere/index\.json"):
        DuplicateIndex.open(tmp_path / "nowhere")
    (tmp_path / INDEX_FILE).write_text("{")
    with pytest.raises(InputError, match="there is no signature index"):
        DuplicateIndex.open(tmp_path)
