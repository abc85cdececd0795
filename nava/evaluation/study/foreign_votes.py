"""Votes of other programs: the file of NAVA's own study, `votes.jsonl` (section 1.9 of the evaluation reference)."""

from __future__ import annotations

from pathlib import Path

from nava.evaluation.study.fields import json_object
from nava.evaluation.study.study_file import CHOICES, LEFT, SIDES
from nava.evaluation.study.votes import Vote
from nava.runtime.errors import InputError

NOT_STATED = "not stated"
NAVA_FIELDS = ("user_id", "left_model", "right_model", "choice", "ours_side", "case_id")


def read_nava_votes(path: Path, study_id: str, *, criterion: str = NOT_STATED, task: str = NOT_STATED) -> list[Vote]:
    """The votes of a file whose lines are JSON with the fields user_id, left_model, right_model, choice, ours_side and
    case_id.

    It says neither what was asked nor for which task: give both if you know them. There are no times and no checks.

    Raises:
        InputError: a line that is malformed or given twice, or whose `ours_side` names another model than the others';
            the message names line and field. Nothing is left out silently, so the whole file is refused.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    votes: list[Vote] = []
    seen: dict[tuple[str, str, frozenset[str]], int] = {}
    ours = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise InputError(f"{path}, line {number}: is empty; each line holds one vote")
        fields = json_object(line, f"{path}, line {number}")
        fields.only(NAVA_FIELDS)
        left, right = fields.text("left_model"), fields.text("right_model")
        rater, case_id, choice = fields.text("user_id"), fields.text("case_id"), fields.text("choice", CHOICES)
        if left == right:
            raise fields.wrong("right_model", "must differ from left_model")
        named = left if fields.text("ours_side", SIDES) == LEFT else right
        ours = ours or named
        if named != ours:
            raise fields.wrong("ours_side", f"must name the side of '{ours}', as line 1 does, and names '{named}'")
        key = (rater, case_id, frozenset((left, right)))
        if key in seen:
            raise fields.wrong("case_id", f"was judged by '{rater}' in line {seen[key]} already")
        seen[key] = number
        item_id = f"{case_id}: {' / '.join(sorted((left, right)))}"
        votes.append(Vote(study_id, rater, item_id, case_id, task, left, right, criterion, choice))
    if not votes:
        raise InputError(f"{path} holds no votes")
    return votes
