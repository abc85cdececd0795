"""A result as a gate reads it: what does not belong together, or is no result, is refused by file and field."""

import math
from pathlib import Path
from typing import Any

import pytest

from nava.evaluation.run.records import read_rows, write_rows
from nava.evaluation.run.result_files import read_result_files
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import read_json
from tests.registry.benchmark_files import ITEMS, ONSET, TASK, benchmark, edit

VALUES = [number / ITEMS for number in range(ITEMS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return benchmark(tmp_path / "mine", {ONSET: [*VALUES[:-1], None]})


def refused(folder: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_result_files(folder)


def test_a_result_is_read_with_the_hashes_of_its_files(folder: Path) -> None:
    result = read_result_files(folder)
    assert (result.task, result.model, result.items) == (TASK, "mine", ITEMS)
    assert result.summary_sha256 == sha256_file(folder / "summary.json")
    assert result.rows_sha256 == sha256_file(folder / "rows.jsonl")
    assert result.values(ONSET) == {f"i{number:02}": value for number, value in enumerate(VALUES[:-1])}
    assert result.figures[ONSET].n == ITEMS - 1
    assert result.values("flicker[frames]") == {}


def test_a_mean_of_subset_means_is_one_too(tmp_path: Path) -> None:
    """Means 0 over ten items and 1 over six: 0.375 over items, 0.5 over subsets."""
    values = [0.0] * 10 + [1.0] * 6
    folder = benchmark(tmp_path, {ONSET: values}, figures={ONSET: {"value": 0.5}})
    refused(folder, "is not what")
    rows = [{**vars(row), "subset": "one" if row.value == 0 else "two"} for row in read_rows(folder / "rows.jsonl")]
    write_rows(folder / "rows.jsonl", [type(read_rows(folder / "rows.jsonl")[0])(**row) for row in rows])
    assert read_result_files(folder).figures[ONSET].value == 0.5


@pytest.mark.parametrize(
    "changes",
    [{"value": 0.9}, {"value": None}, {"n": ITEMS - 2}, {"eligible": ITEMS + 1}, {"protocol": "onset_f1.old"}],
)
def test_figures_that_are_not_of_these_rows_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    (figure,) = read_json(folder / "summary.json")["figures"]
    edit(folder, figures=[{**figure, **changes}])
    refused(folder, "score the outputs again")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": "0.5"}, r"figures\[0\].value is '0.5'"),
        ({"ci_low": True}, r"figures\[0\].ci_low is True"),
        ({"covered": 1}, r"figures\[0\].covered is 1"),
        ({"n": ITEMS + 1}, r"figures\[0\].n is 17, more than the 16 eligible"),
        ({"n": -1}, r"figures\[0\].n is -1"),
        ({"backend": "ears"}, r"figures\[0\].column is 'onset_f1\[tracks\]': not its metric and backend"),
        ({"extra": 1}, r"figures\[0\] does not have the fields of a figure"),
    ],
)
def test_a_wrong_figure_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    (figure,) = read_json(folder / "summary.json")["figures"]
    edit(folder, figures=[{**figure, **changes}])
    refused(folder, message)


def test_a_figure_of_a_release_that_did_not_note_the_backend_is_read(folder: Path) -> None:
    (figure,) = read_json(folder / "summary.json")["figures"]
    del figure["backend_sha256"]
    edit(folder, figures=[figure])
    assert read_result_files(folder).figures[ONSET].backend_sha256 == ""


def test_a_figure_that_is_there_twice_is_refused(folder: Path) -> None:
    (figure,) = read_json(folder / "summary.json")["figures"]
    edit(folder, figures=[figure, figure])
    refused(folder, "there twice")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema_version must be 1"),
        ({"task": None}, "task is None; it must be text"),
        ({"items": "16"}, "items is '16'"),
        ({"absent": ["clap"]}, "absent must list objects"),
        ({"package_sha256": "latest"}, "package_sha256 is 'latest'; it must be 64"),
    ],
)
def test_a_wrong_summary_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    refused(edit(folder, **changes), message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 17 is not JSON"),
        ('{"item_id": "x"}', "line 17 does not have the fields of a row"),
        ("[]", "line 17 does not have the fields of a row"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(folder: Path, line: str, message: str) -> None:
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text() + line + "\n")
    refused(folder, message)


def test_values_that_are_no_numbers_and_items_that_repeat_are_refused(folder: Path) -> None:
    rows = folder / "rows.jsonl"
    text = rows.read_text()
    rows.write_text(text.replace('"value":0.0625', '"value":NaN'))
    refused(folder, f"line 2: value is {math.nan}")
    rows.write_text(text + text.splitlines()[0] + "\n")
    refused(folder, "two rows for one item")


def test_a_reason_may_hold_any_character(folder: Path) -> None:
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"reason":"gone"', '"reason":"gone\u2028away"'), encoding="utf-8")
    assert read_result_files(folder).rows[ONSET]["i15"].reason == "gone\u2028away"


def test_a_folder_without_a_result_is_refused(folder: Path) -> None:
    (folder / "rows.jsonl").unlink()
    refused(folder, r"no rows\.jsonl to be read")
    refused(folder.parent, r"no summary\.json to be read")
