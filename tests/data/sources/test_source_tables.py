import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nava.data.media_root import FolderRoot, media_root
from nava.data.sources.tables import Place, Row, RowError, read_rows
from nava.runtime.errors import InputError
from tests.data.conftest import fill

KNOWN = {"path", "start_s", "licence"}
ROWS = [{"path": "a.mp4", "start_s": 1.5}, {"path": "b, c.mp4", "licence": "CC0-1.0"}]


def write(folder, name, data: str | bytes):
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def rows(folder, name, required=("path",), known=KNOWN):
    return list(read_rows(FolderRoot(folder), name, required, known))


@pytest.fixture
def tables(tmp_path):
    write(tmp_path, "t.csv", '\ufeffpath,start_s,licence\r\na.mp4,1.5,\r\n"b, c.mp4",,CC0-1.0\r\n')
    write(tmp_path, "t.tsv", "path\tstart_s\tlicence\na.mp4\t1.5\t\nb, c.mp4\t\tCC0-1.0\n")
    write(tmp_path, "t.jsonl", "\n".join(json.dumps(row | {"licence": row.get("licence")}) for row in ROWS) + "\n\n")
    columns = {"path": ["a.mp4", "b, c.mp4"], "start_s": [1.5, None], "licence": [None, "CC0-1.0"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return tmp_path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_every_format_gives_the_same_rows(tables, name):
    first, second = rows(tables, name)
    assert (first.place.number, first.text("path"), first.number_of("start_s"), first.text("licence")) == (
        1,
        "a.mp4",
        1.5,
        "",
    )
    assert (second.place.number, second.text("path"), second.number_of("start_s")) == (2, "b, c.mp4", None)
    assert str(second.place) == f"{name}, row 2"


def test_a_table_in_a_bucket_is_read_where_it_lies(tables, memory_bucket):
    fill(memory_bucket, {name: (tables / name).read_bytes() for name in ("t.csv", "t.parquet")})
    for name in ("t.csv", "t.parquet"):
        assert [row.text("path") for row in read_rows(media_root(memory_bucket), name, ("path",), KNOWN)] == [
            "a.mp4",
            "b, c.mp4",
        ]


def test_a_cell_may_have_several_lines(tmp_path):
    write(tmp_path, "t.csv", 'path,licence\n"a.mp4","one\ntwo"\nb.mp4,x\n')
    assert [(row.place.number, row.text("licence")) for row in rows(tmp_path, "t.csv")] == [(1, "one\ntwo"), (2, "x")]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", "path,start_s\na.mp4\n", r"t\.csv, row 1: 1 fields where the header has 2"),
        ("t.csv", "file,start_s\na.mp4,1\n", r"t\.csv: there is no column 'path'; found: file, start_s"),
        ("t.csv", "", r"t\.csv: there is no column 'path'; found: no columns"),
        ("t.csv", "path,path\na,b\n", r"t\.csv: the column 'path' is there more than once"),
        ("t.csv", "path,licens\na,b\n", r"t\.csv: unknown column 'licens'; did you mean 'licence'\?"),
        ("t.csv", 'path\n"a.mp4\n', r"t\.csv, row 1: not CSV"),
        ("t.csv", b"path\na.mp4\ncaf\xe9.mp4\n", r"t\.csv, near row \d: not UTF-8"),
        ("t.csv", "path\n" + "x" * (1 << 21) + "\n", r"t\.csv, row 1: not CSV: field larger"),
        ("t.jsonl", '{"path": "a"}\n{"path"\n', r"t\.jsonl, row 2: not JSON"),
        ("t.jsonl", '{"path": "a"}\n["b"]\n', r"t\.jsonl, row 2: list where a JSON object is wanted"),
        ("t.jsonl", b'{"path": "caf\xe9"}\n', r"t\.jsonl, row 1: not UTF-8"),
        ("t.jsonl", '{"start_s": 1}\n', r"t\.jsonl, row 1: there is no column 'path'"),
        ("t.jsonl", '{"path": "a", "x": 1}\n', r"t\.jsonl, row 1: unknown column 'x' \(columns may be: licence, path"),
        ("t.jsonl", "[" * 100_000 + "\n", r"t\.jsonl, row 1: not JSON"),
        ("t.parquet", b"PAR1 and then nothing", r"t\.parquet, after row 0: not parquet"),
        ("t.xlsx", b"x", r"t\.xlsx is no table that can be read: wanted is a file ending in \.csv"),
    ],
)
def test_what_is_no_such_table_is_refused_with_file_and_row(tmp_path, name, data, message):
    write(tmp_path, name, data)
    with pytest.raises(InputError, match=message):
        rows(tmp_path, name)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv cannot be read"):
        rows(tmp_path, "gone.csv")


@pytest.mark.parametrize("value", ["x", "nan", "inf", True, [1], "1,5"])
def test_a_number_is_finite_and_a_number(value):
    with pytest.raises(RowError, match=r"field 'start_s' is .* it must be a number"):
        Row(Place("t.csv", 1), {"start_s": value}).number_of("start_s")


def test_a_time_is_in_seconds_from_zero_on():
    assert Row(Place("t", 1), {"t": "1.0000004"}).microseconds("t") == 1_000_000
    assert Row(Place("t", 1), {"t": 0}).microseconds("t") == 0
    assert Row(Place("t", 1), {}).microseconds("t") is None
    with pytest.raises(RowError, match="cannot be below 0"):
        Row(Place("t", 1), {"t": -0.1}).microseconds("t")


@pytest.mark.parametrize("value", [3, ["a"], "a\0.mp4"])
def test_a_text_is_a_text(value):
    with pytest.raises(RowError, match="field 'path'"):
        Row(Place("t", 1), {"path": value}).text("path")
