from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nava.artifacts.source_manifest import (
    IGNORED_NAME,
    SOURCES_NAME,
    SOURCES_SCHEMA,
    IgnoredFile,
    IgnoreReason,
    Segment,
    Source,
    count_ignored,
    read_ignored,
    read_sources,
    source_id,
    write_sources,
)
from nava.runtime.hashing import sha256_tree


def make_source(path: str = "video/a.mp4", digest: str = "a" * 64, sidecar: str | None = None) -> Source:
    return Source(source_id(digest), path, digest, 12, sidecar, "CC0-1.0", "a test")


def test_what_was_written_is_read_back_in_path_order(tmp_path):
    second, first = make_source("b.mp4", "b" * 64), make_source("a.mp4", "a" * 64, "a.vtt")
    ignored = [
        IgnoredFile("z.txt", IgnoreReason.NOT_MEDIA),
        IgnoredFile("copy.mp4", IgnoreReason.EXACT_DUPLICATE, first.source_id),
    ]
    assert write_sources(tmp_path / "sources", [second, first], ignored) == tmp_path / "sources"
    assert read_sources(tmp_path / "sources") == [first, second]
    assert read_ignored(tmp_path / "sources") == [ignored[1], ignored[0]]


def test_the_bytes_do_not_depend_on_the_order_of_the_rows(tmp_path):
    rows = [make_source("b.mp4", "b" * 64), make_source("a.mp4", "a" * 64)]
    write_sources(tmp_path / "one", rows)
    write_sources(tmp_path / "two", rows[::-1])
    assert sha256_tree(tmp_path / "one") == sha256_tree(tmp_path / "two")


def test_an_empty_manifest_keeps_its_schema(tmp_path):
    write_sources(tmp_path, [])
    assert read_sources(tmp_path) == []
    assert read_ignored(tmp_path) == []
    assert pq.read_schema(tmp_path / SOURCES_NAME).names == SOURCES_SCHEMA.names


def test_the_file_carries_its_schema_version(tmp_path):
    write_sources(tmp_path, [make_source()])
    metadata = pq.read_schema(tmp_path / SOURCES_NAME).metadata
    assert metadata[b"nava.artifact"] == b"source_manifest"
    assert metadata[b"nava.schema_version"] == b"2"


def test_nothing_else_is_left_beside_the_tables(tmp_path):
    write_sources(tmp_path, [make_source()])
    assert sorted(path.name for path in tmp_path.iterdir()) == [IGNORED_NAME, SOURCES_NAME]


def test_a_source_is_named_by_its_bytes_alone():
    assert make_source("one.mp4").source_id == make_source("elsewhere/two.mp4").source_id
    assert make_source(digest="a" * 64).source_id != make_source(digest="b" * 64).source_id


def test_repeated_ids_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="repeat"):
        write_sources(tmp_path / "sources", [make_source("a.mp4"), make_source("b.mp4")])
    assert not (tmp_path / "sources").exists()


@pytest.mark.parametrize("path", ["../outside.mp4", "a/../../b.mp4", "/etc/passwd", ""])
def test_a_path_that_leads_out_of_the_media_root_is_refused(tmp_path, path):
    write_sources(tmp_path, [make_source(path)])
    with pytest.raises(ValueError, match="leads out"):
        read_sources(tmp_path)


def test_a_sidecar_that_leads_out_is_refused_too(tmp_path):
    write_sources(tmp_path, [make_source(sidecar="../a.vtt")])
    with pytest.raises(ValueError, match="leads out"):
        read_sources(tmp_path)


def test_two_dots_within_a_name_are_only_a_name(tmp_path):
    write_sources(tmp_path, [make_source("take..2.mp4")])
    assert read_sources(tmp_path)[0].path == "take..2.mp4"


@pytest.mark.parametrize(
    "metadata", [{}, {b"nava.artifact": b"source_manifest", b"nava.schema_version": b"1"}, {b"nava.artifact": b"clips"}]
)
def test_another_kind_or_version_is_refused(tmp_path, metadata):
    table = pa.Table.from_pylist([], schema=SOURCES_SCHEMA.with_metadata(metadata))
    pq.write_table(table, tmp_path / SOURCES_NAME)
    with pytest.raises(ValueError, match="schema version 2"):
        read_sources(tmp_path)


def test_a_missing_manifest_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_sources(tmp_path)


def test_ignored_files_are_counted_by_reason_most_frequent_first():
    ignored = [IgnoredFile(f"{i}.txt", IgnoreReason.NOT_MEDIA) for i in range(2)]
    ignored += [IgnoredFile(".x", IgnoreReason.HIDDEN), IgnoredFile("l", IgnoreReason.SYMLINK_BROKEN)]
    assert list(count_ignored(ignored).items()) == [("not_media", 2), ("hidden", 1), ("symlink_broken", 1)]


def test_segments_transcripts_and_hints_are_read_back(tmp_path):
    segments = (Segment(0, 2_500_000), Segment(3_000_000, 4_000_001, '{"caption":"a dog"}'))
    whole = replace(make_source(), collection="koala", etag="9f", transcript="WEBVTT\n", segments=segments)
    whole = replace(whole, hints='{"clarity_score":0.9}')
    write_sources(tmp_path, [whole])
    assert read_sources(tmp_path) == [whole]


def test_rows_are_sorted_by_collection_first(tmp_path):
    rows = [replace(make_source("a.mp4", "a" * 64), collection="two"), make_source("b.mp4", "b" * 64)]
    ignored = [IgnoredFile("a.txt", IgnoreReason.NOT_MEDIA, collection="two"), IgnoredFile("b", IgnoreReason.HIDDEN)]
    write_sources(tmp_path, rows, ignored)
    assert [row.path for row in read_sources(tmp_path)] == ["b.mp4", "a.mp4"]
    assert [row.path for row in read_ignored(tmp_path)] == ["b", "a.txt"]


def test_an_ignored_row_keeps_its_detail(tmp_path):
    row = IgnoredFile("clips.csv, row 7", IgnoreReason.INVALID_ROW, collection="koala", detail="field 'timestamp'")
    write_sources(tmp_path, [], [row])
    assert read_ignored(tmp_path) == [row]
