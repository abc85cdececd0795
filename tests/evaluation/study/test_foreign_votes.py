"""NAVA's own file of votes is taken over whole, or refused with line and field."""

import json
from pathlib import Path

import pytest

from nava.evaluation.study.foreign_votes import NOT_STATED, read_nava_votes
from nava.runtime.errors import InputError

LINE = {
    "user_id": "user_01",
    "left_model": "ours",
    "right_model": "ovi",
    "choice": "left",
    "ours_side": "left",
    "case_id": "ovi_000",
}


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_votes_are_taken_over(tmp_path: Path) -> None:
    swapped = {"left_model": "davinci", "right_model": "ours", "ours_side": "right", "choice": "tie", "case_id": "d_0"}
    votes = read_nava_votes(write(tmp_path / "votes.jsonl", LINE, LINE | swapped), "nava")
    assert [(one.rater, one.case_id, one.left_model, one.right_model, one.choice) for one in votes] == [
        ("user_01", "ovi_000", "ours", "ovi", "left"),
        ("user_01", "d_0", "davinci", "ours", "tie"),
    ]
    assert {(one.criterion, one.task, one.study_id, one.kind) for one in votes} == {
        (NOT_STATED, NOT_STATED, "nava", "vote")
    }
    # What the file does not say is not made up.
    assert all((one.seconds, one.played, one.time) == (None, None, None) for one in votes)


def test_what_is_known_of_the_question_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "votes.jsonl", LINE)
    (vote,) = read_nava_votes(path, "nava", criterion="overall quality", task="T2AV")
    assert (vote.criterion, vote.task) == ("overall quality", "T2AV")


def test_one_case_of_several_pairs_and_raters_is_no_duplicate(tmp_path: Path) -> None:
    lines = [LINE, LINE | {"right_model": "mova"}, LINE | {"user_id": "user_02"}]
    assert len(read_nava_votes(write(tmp_path / "v.jsonl", *lines), "nava")) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({**LINE, "choice": "ours"}, "line 2: field 'choice' is \"ours\"; it must be left or tie or right"),
        ({**LINE, "ours_side": "top"}, "line 2: field 'ours_side' is \"top\"; it must be left or right"),
        ({**LINE, "user_id": 3}, "line 2: field 'user_id' is 3; it must be a text"),
        ({**LINE, "case_id": ""}, "line 2: field 'case_id'"),
        ({key: value for key, value in LINE.items() if key != "choice"}, "line 2: field 'choice' is missing"),
        ({**LINE, "criterion": "overall"}, "line 2: unknown field 'criterion'"),
        ({**LINE, "right_model": "ours"}, "line 2: field 'right_model' .* must differ"),
        ({**LINE, "case_id": "x", "ours_side": "right"}, "line 2: field 'ours_side' .* side of 'ours', .* names 'ovi'"),
        (LINE, "line 2: field 'case_id' .* judged by 'user_01' in line 1 already"),
        ({**LINE, "left_model": "ovi", "right_model": "ours", "ours_side": "right"}, "in line 1 already"),
        ("{", "line 2: not JSON"),
        ("[]", "line 2: list where a JSON object is wanted"),
        ("", "line 2: is empty"),
    ],
)
def test_a_malformed_line_refuses_the_file(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(InputError, match=f"{said}"):
        read_nava_votes(write(tmp_path / "votes.jsonl", LINE, line), "nava")


def test_no_votes_and_no_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no votes"):
        read_nava_votes(write(tmp_path / "votes.jsonl"), "nava")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_nava_votes(tmp_path / "gone.jsonl", "nava")
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(LINE, ensure_ascii=False).encode()[:-1] + b"\xff}\n")
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        read_nava_votes(tmp_path / "latin.jsonl", "nava")
