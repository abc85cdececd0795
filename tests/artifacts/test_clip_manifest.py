import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nava.artifacts.clip_manifest import (
    SCHEMA,
    Reason,
    Status,
    clip_id,
    count_reasons,
    count_statuses,
    kept_rows,
    read_clips,
    write_clips,
)


def row(name, status=Status.KEPT, reason=None, **values):
    source = {"src_id": "src-1", "src_sha256": "0" * 64, "src_path": "a.mp4", "modality": "av", "stage": "filters"}
    return {"clip_id": name, "status": str(status), "drop_reason": reason and str(reason), **source, **values}


ROWS = [
    row("b", t0_us=2_000_000, tags=["flash"], speech=[{"speaker": "Ada", "t0_s": 0.0, "t1_s": 1.0, "text": "hi"}]),
    row("a", t0_us=0, stage_versions=[("decode", "1")]),
    row("c", Status.DROPPED, Reason.SILENT, t0_us=4_000_000),
    row("d", Status.FAILED, Reason.TRUNCATED, src_path="z.mp4"),
]


def test_rows_survive_a_round_trip_in_source_order(tmp_path):
    write_clips(tmp_path, ROWS)
    table = read_clips(tmp_path)
    assert table.column("clip_id").to_pylist() == ["a", "b", "c", "d"]
    read = table.to_pylist()[1]
    assert read["tags"] == ["flash"]
    assert read["speech"][0]["text"] == "hi"
    assert table.schema.names == SCHEMA.names


def test_the_bytes_do_not_depend_on_the_order_of_rows(tmp_path):
    for name, rows in (("one", ROWS), ("two", ROWS[::-1])):
        (tmp_path / name).mkdir()
        write_clips(tmp_path / name, rows)
    assert (tmp_path / "one/clips.parquet").read_bytes() == (tmp_path / "two/clips.parquet").read_bytes()


def test_kept_rows_are_the_kept_ones(tmp_path):
    write_clips(tmp_path, ROWS)
    assert [kept["clip_id"] for kept in kept_rows(tmp_path)] == ["a", "b"]


def test_an_unknown_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="loudness"):
        write_clips(tmp_path, [row("a", loudness=1.0)])
    assert not (tmp_path / "clips.parquet").exists()


def test_repeated_ids_are_refused(tmp_path):
    with pytest.raises(ValueError, match="repeat"):
        write_clips(tmp_path, [row("a"), row("a")])


def test_a_row_without_a_status_is_refused(tmp_path):
    broken = row("a")
    del broken["status"]
    with pytest.raises(KeyError):
        count_statuses([broken])


def test_another_table_and_another_version_are_refused(tmp_path):
    pq.write_table(pa.table({"clip_id": ["a"]}), tmp_path / "clips.parquet")
    with pytest.raises(ValueError, match="not a clip manifest"):
        read_clips(tmp_path)
    newer = SCHEMA.with_metadata({b"nava.artifact": b"clip_manifest", b"nava.schema_version": b"99"})
    pq.write_table(newer.empty_table(), tmp_path / "clips.parquet")
    with pytest.raises(ValueError, match="found 99"):
        read_clips(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_clips(tmp_path / "nowhere")


def test_counts_add_up_and_unknown_statuses_do_not_pass():
    assert count_statuses(ROWS) == {"in": 4, "kept": 2, "dropped": 1, "failed": 1, "quarantined": 0}
    with pytest.raises(AssertionError, match="unknown status"):
        count_statuses([*ROWS, row("e", "lost")])


def test_reasons_are_counted_most_frequent_first():
    many = [row(str(number), Status.DROPPED, Reason.BLURRED) for number in range(2)]
    assert list(count_reasons([*ROWS, *many]).items()) == [("blurred", 2), ("silent", 1), ("truncated", 1)]


def test_an_id_is_a_function_of_content_place_and_pipeline():
    first = clip_id("0" * 64, 0, 2_000_000, "cuts=1")
    assert len(first) == 24
    assert first == clip_id("0" * 64, 0, 2_000_000, "cuts=1")
    others = {clip_id("1" * 64, 0, 2_000_000, "cuts=1"), clip_id("0" * 64, 1, 2_000_000, "cuts=1")}
    assert first not in others | {clip_id("0" * 64, 0, 2_000_000, "cuts=2")}
