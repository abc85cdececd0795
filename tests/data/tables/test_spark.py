"""The table work on Spark gives what the same work gives here. Needs pyspark and Java; skipped without.

pip install 'nava[spark]'    and Java 17
"""

import os
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'nava[spark]'")
if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
    pytest.skip("Spark needs Java 17 or newer: install it, or set JAVA_HOME", allow_module_level=True)

from nava.artifacts.clip_manifest import write_clips
from nava.artifacts.source_manifest import SOURCES_NAME, write_sources
from nava.config.duplicates import DuplicateConfig
from nava.config.source import CollectionConfig, SourceConfig
from nava.data.duplicates.clustering import EmbeddingShard
from nava.data.duplicates.index import IndexedClip, write_index
from nava.data.duplicates.pairs import search
from nava.data.sources.scan import find_candidates, scan_sources
from nava.data.tables.spark import duplicate_sources, local_session, lost_ids, near_pairs, ranked, read_signatures
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from tests.data.conftest import write_wav
from tests.data.duplicates.conftest import random_signatures
from tests.data.duplicates.test_pairs import vectors_with_copies

MIN_COSINE = 0.975


@pytest.fixture(scope="module")
def session():
    before = {name: os.environ.get(name) for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")}
    os.environ["PYSPARK_PYTHON"] = "/nowhere/python3"
    session = local_session(2)
    yield session
    session.stop()
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def embedded(session, rows, seed=0):
    """A table of embeddings in any order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    table = [(int(rank), rows[rank].astype("<f2").tobytes()) for rank in order]
    return session.createDataFrame(table, "rank long, embedding binary").repartition(5)


def collected(pairs):
    found = sorted((row["later"], row["earlier"], row["cosine"]) for row in pairs.collect())
    assert len({pair[:2] for pair in found}) == len(found)
    return found


def searched(rows, config, folder, settled=0):
    folder.mkdir(exist_ok=True)
    shards = [
        EmbeddingShard(np.arange(start, min(start + 400, len(rows))), rows[start : start + 400])
        for start in range(0, len(rows), 400)
    ]
    found, home = search(shards, settled, MIN_COSINE, config, folder)
    columns = (found.later.tolist(), found.earlier.tolist(), found.cosine.tolist())
    return sorted(zip(*columns, strict=True)), len(set(home.tolist()))


def test_workers_run_this_python_whatever_the_environment_said(session):
    def interpreters(batches):
        import pyarrow as pa

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"python": [sys.executable]})

    assert {row["python"] for row in session.range(3).mapInArrow(interpreters, "python string").collect()} == {
        sys.executable
    }


def test_what_an_engine_lost_is_listed_once(session):
    went_in = session.createDataFrame([(name,) for name in ["a", "b", "b", "c", "d", None]], "task_id string")
    came_out = session.createDataFrame([("c",), ("a",), ("a",), ("other",), (None,)], "src_id string")
    lost = lost_ids(went_in, came_out, "task_id", "src_id")
    assert lost.columns == ["task_id"]
    assert sorted((row["task_id"] for row in lost.collect()), key=str) == [None, "b", "d"]
    assert lost_ids(went_in.na.drop(), went_in, "task_id").count() == 0


@pytest.fixture
def two_collections(tmp_path):
    """Two folders that share contents, and the mixture of them."""
    levels = {"first/b.wav": 1, "first/a.wav": 2, "first/again.wav": 2, "second/0.wav": 1, "second/own.wav": 3}
    for name, level in levels.items():
        write_wav(tmp_path / name, level * 1000)
    names = ("second", "first")
    return [CollectionConfig(name=name, uri=str(tmp_path / name), share=0.5, licence="CC0-1.0") for name in names]


def test_equal_sources_are_found_across_collections_as_the_scan_finds_them(session, two_collections, tmp_path):
    config = SourceConfig(mixture=two_collections)
    listing = scan_sources(config, tmp_path / "cache")
    rows = [
        (part.name, item.path, sha256_file(tmp_path / part.name / item.path))
        for part in two_collections
        for item in find_candidates(part).found
    ]
    sources = session.createDataFrame(rows, "collection string, path string, sha256 string").repartition(3)
    found = duplicate_sources(sources, ["second", "first"]).collect()
    assert {(row["collection"], row["path"], row["keeper_collection"], row["keeper_path"]) for row in found} == {
        ("first", "b.wav", "second", "0.wav"),
        ("first", "again.wav", "first", "a.wav"),
    }
    stay = {(row[0], row[1]) for row in rows} - {(row["collection"], row["path"]) for row in found}
    assert stay == {(source.collection, source.path) for source in listing.sources}
    with pytest.raises(InputError, match="lacks 'second'"):
        duplicate_sources(sources, ["first"])


def test_the_manifests_of_a_corpus_are_tables_of_spark(session, two_collections, tmp_path):
    listing = scan_sources(SourceConfig(mixture=two_collections), tmp_path / "cache")
    write_sources(tmp_path / "corpus", listing.sources, listing.ignored)
    kept = {"modality": "audio", "status": "failed", "drop_reason": "undecodable", "stage": "integrity"}
    rows = [
        {"clip_id": f"c{number}", "src_id": item.source_id, "src_sha256": item.sha256, "src_path": item.path, **kept}
        for number, item in enumerate(listing.sources[1:])
    ]
    write_clips(tmp_path / "corpus", rows)
    sources = session.read.parquet(str(tmp_path / "corpus" / SOURCES_NAME))
    clips = session.read.parquet(str(tmp_path / "corpus/clips.parquet"))
    lost = lost_ids(sources, clips, "source_id", "src_id").collect()
    assert [row["source_id"] for row in lost] == [listing.sources[0].source_id]


@pytest.mark.parametrize("settled", [0, 150])
def test_a_small_corpus_has_the_pairs_of_the_local_search(session, tmp_path, settled):
    rows = vectors_with_copies()
    expected, clusters = searched(rows, DuplicateConfig(), tmp_path / "local", settled)
    assert clusters == 1
    assert len(expected) > 20
    assert collected(near_pairs(embedded(session, rows), MIN_COSINE, DuplicateConfig(), settled)) == expected


def test_clusters_have_the_pairs_of_the_local_search_to_the_last_bit(session, tmp_path):
    rows = vectors_with_copies(3000, 900, dimensions=32)
    config = DuplicateConfig(exact_clips=100, training_clips_per_cluster=20)
    expected, clusters = searched(rows, config, tmp_path / "local", 200)
    assert clusters > 30
    assert len(expected) > 500
    assert collected(near_pairs(embedded(session, rows), MIN_COSINE, config, 200)) == expected


def test_signatures_of_an_index_are_ranked_by_quality_and_compared(session, tmp_path):
    signatures = random_signatures(60, copies=25)
    quality = {clip_id: (float(number % 3), -1.0) for number, clip_id in enumerate(signatures)}
    clips = [IndexedClip(clip_id, "src", quality[clip_id], True, None) for clip_id in signatures]
    write_index(tmp_path / "index", signatures, clips)
    table = read_signatures(session, [str(path) for path in (tmp_path / "index").glob("*.parquet")])
    assert {row["clip_id"] for row in table.where("kept").collect()} == set(signatures)
    order = ranked(table)
    names = [row["clip_id"] for row in order.sort("rank").collect()]
    assert names == sorted(signatures, key=lambda clip_id: (-quality[clip_id][0], clip_id))
    rows = np.stack([signatures[name].embedding for name in names]).astype(np.float16)
    expected, _ = searched(rows, DuplicateConfig(), tmp_path / "local")
    assert len(expected) >= 25
    assert collected(near_pairs(order, MIN_COSINE, DuplicateConfig())) == expected


def test_no_addresses_and_a_damaged_shard_are_errors(session, tmp_path):
    with pytest.raises(InputError, match="list of addresses is empty"):
        read_signatures(session, [])
    (tmp_path / "part.parquet").write_bytes(b"no table")
    with pytest.raises(Exception, match=r"part\.parquet cannot be read"):
        read_signatures(session, [str(tmp_path / "part.parquet")]).collect()
