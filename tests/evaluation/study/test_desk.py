"""Each rater goes through the study on their own, and an answer is kept the moment it is given."""

from pathlib import Path

import pytest

from nava.evaluation.study.desk import Answer, StudyDesk, VotesUnreadableError, rater_name
from nava.evaluation.study.study_file import ALIGNMENT, OVERALL
from nava.evaluation.study.votes import VoteStore
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, small_study, vote


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_study(tmp_path, models=MODELS[:2], t2av=2, ti2av=1)[0]


def answer(desk: StudyDesk, rater: str, position: int, criterion: str = OVERALL, choice: str = "left") -> bool:
    item = desk.order(rater)[position]
    return desk.record(rater, Answer(item.item_id, criterion, choice, 2.25, True))


def test_an_item_is_done_when_all_questions_are_answered(folder: Path) -> None:
    desk = StudyDesk(folder)
    assert desk.place("ann") == 0
    assert not answer(desk, "ann", 0, OVERALL)
    assert desk.place("ann") == 0
    assert answer(desk, "ann", 0, ALIGNMENT, "tie")
    assert desk.place("ann") == 1
    assert desk.answers("ann", desk.order("ann")[0].item_id) == {OVERALL: "left", ALIGNMENT: "tie"}
    assert desk.place("bob") == 0


def test_a_vote_says_everything_that_is_known(folder: Path) -> None:
    desk = StudyDesk(folder)
    for position, item in enumerate(desk.order("ann")):
        answer(desk, "ann", position, ALIGNMENT, "right")
        (kept,) = [one for one in VoteStore(folder / "votes.jsonl").read().votes if one.item_id == item.item_id]
        assert (kept.study_id, kept.rater, kept.case_id, kept.kind) == ("spring", "ann", item.case_id, item.kind)
        assert (kept.left_model, kept.right_model) == (item.left_model, item.right_model)
        assert (kept.criterion, kept.choice, kept.seconds, kept.played) == (ALIGNMENT, "right", 2.25, True)
        assert kept.task == ("TI2AV" if item.case_id.startswith("i") else "T2AV")
        assert kept.time is not None
        assert kept.time.endswith("+00:00")


def test_another_desk_goes_on_where_the_first_was(folder: Path) -> None:
    first, second = StudyDesk(folder), StudyDesk(folder)
    for criterion in (OVERALL, ALIGNMENT):
        answer(first, "ann", 0, criterion)
    assert second.place("ann") == 1
    answer(second, "ann", 0, OVERALL, "right")
    assert first.answers("ann", first.order("ann")[0].item_id)[OVERALL] == "right"
    assert StudyDesk(folder).place("ann") == 1
    assert len(VoteStore(folder / "votes.jsonl").read().votes) == 3


def test_the_end_is_reached(folder: Path) -> None:
    desk = StudyDesk(folder)
    for position in range(len(desk.study.items)):
        for criterion in (OVERALL, ALIGNMENT):
            answer(desk, "ann", position, criterion)
    assert desk.place("ann") == len(desk.study.items)


def test_what_is_not_of_the_study_is_refused(folder: Path) -> None:
    desk = StudyDesk(folder)
    for wrong in (
        Answer("gone", OVERALL, "left", 1, True),
        Answer(desk.study.items[0].item_id, "mood", "left", 1, True),
    ):
        with pytest.raises(InputError, match="not part of the study"):
            desk.record("ann", wrong)
    assert VoteStore(folder / "votes.jsonl").read().votes == ()
    VoteStore(folder / "votes.jsonl").append(vote(study_id="autumn"))
    for _ in range(2):
        with pytest.raises(VotesUnreadableError, match="has votes of study 'autumn'"):
            desk.place("ann")
    with pytest.raises(InputError, match="has votes of study 'autumn'"):
        StudyDesk(folder)


@pytest.mark.parametrize(
    ("text", "name"), [("  Ann  Lee ", "ann lee"), ("ＡＮＮ", "ann"), ("Zoë/7", "zoë/7"), ("r-1", "r-1")]
)
def test_a_name_has_one_form(text: str, name: str) -> None:
    assert rater_name(text) == name
    assert rater_name(name) == name


@pytest.mark.parametrize("text", ["", "  ", "x" * 61, "a\x00b", "a\u200bb", "..", ".", "/"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        rater_name(text)


def test_a_closed_study_admits_those_invited(folder: Path) -> None:
    desk = StudyDesk(folder, ["Code-1", "code-2"])
    assert desk.admit("CODE-1") == "code-1"
    with pytest.raises(InputError, match="not among those"):
        desk.admit("code-3")
    assert StudyDesk(folder).admit("code-3") == "code-3"
