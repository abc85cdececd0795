"""A study is drawn whole, the same for the same seed, and balanced."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from nava.evaluation.study.plan import AttentionCheck, StudyCase, make_study
from nava.evaluation.study.study_file import ATTENTION, BROKEN, REPEAT, VOTE, Case, Item, Study
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, small_study, study_cases, write_clip, write_outputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    return small_study(tmp_path_factory.mktemp("plan"), t2av=5, ti2av=2, checks=3, repeats=4)


def of_kind(study: Study, kind: str) -> list[Item]:
    return [item for item in study.items if item.kind == kind]


def test_every_pair_of_models_meets_once_on_every_case(made: tuple[Path, Study]) -> None:
    met = Counter((item.case_id, frozenset((item.left_model, item.right_model))) for item in of_kind(made[1], VOTE))
    wanted = {(case.case_id, frozenset(pair)) for case in made[1].cases for pair in combinations(MODELS, 2)}
    assert met == Counter(wanted)


def test_sides_are_balanced_within_each_pair_and_task(made: tuple[Path, Study]) -> None:
    for first, second in combinations(MODELS, 2):
        for task, cases in (("T2AV", 5), ("TI2AV", 2)):
            ids = {case.case_id for case in made[1].cases if case.task == task}
            items = [
                item
                for item in of_kind(made[1], VOTE)
                if item.case_id in ids and {item.left_model, item.right_model} == {first, second}
            ]
            assert len(items) == cases
            assert sum(item.left_model == first for item in items) in (cases // 2, cases - cases // 2)


def test_media_belong_to_the_models_they_stand_for(made: tuple[Path, Study], tmp_path: Path) -> None:
    folder, study = made
    outputs = folder.parent / "outputs"
    for item in of_kind(study, VOTE) + of_kind(study, REPEAT):
        for model, media in ((item.left_model, item.left_media), (item.right_model, item.right_media)):
            assert (folder / media).read_bytes() == (outputs / model / f"{item.case_id}.mp4").read_bytes()
    for item in of_kind(study, ATTENTION):
        sides = {"left": (item.left_model, item.left_media), "right": (item.right_model, item.right_media)}
        model, media = sides.pop(item.intact or "")
        assert (folder / media).read_bytes() == (outputs / model / f"{item.case_id}.mp4").read_bytes()
        ((broken, media),) = sides.values()
        assert broken == BROKEN
        assert (folder / media).read_bytes() == (folder.parent / "broken.mp4").read_bytes()


def test_repeats_are_other_items_with_sides_swapped(made: tuple[Path, Study]) -> None:
    repeats = of_kind(made[1], REPEAT)
    assert len({item.repeat_of for item in repeats}) == 4
    for again in repeats:
        first = made[1].items_by_id[again.repeat_of or ""]
        assert first.kind == VOTE
        assert (again.left_model, again.left_media) == (first.right_model, first.right_media)
        assert (again.right_model, again.right_media) == (first.left_model, first.left_media)
        assert again.case_id == first.case_id


def test_the_broken_copy_stands_on_either_side(made: tuple[Path, Study]) -> None:
    assert Counter(item.intact for item in of_kind(made[1], ATTENTION)).most_common(1)[0][1] == 2


def test_no_file_name_tells_model_case_or_kind(made: tuple[Path, Study]) -> None:
    names = [path.name for path in (made[0] / "media").iterdir()]
    assert len(names) == 7 * len(MODELS) + 3 + 2
    assert all(
        len(name.partition(".")[0]) == 16 and not set(name.partition(".")[0]) - set("0123456789abcdef")
        for name in names
    )
    lengths = {len(item.item_id) for item in made[1].items}
    assert lengths == {16}


def test_a_seed_gives_the_same_study_and_another_seed_another(tmp_path: Path) -> None:
    cases = study_cases(tmp_path, 4, 0)
    outputs = write_outputs(tmp_path / "outputs", [case.case_id for case in cases], MODELS[:2])
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        make_study(tmp_path / name, "s", outputs, cases, seed=seed, repeats=2)
    one, again, two = ((tmp_path / name / "study.json").read_text() for name in ("one", "again", "two"))
    assert one == again
    assert sorted(p.name for p in (tmp_path / "one/media").iterdir()) == sorted(
        p.name for p in (tmp_path / "again/media").iterdir()
    )
    ids = [{item["item_id"] for item in json.loads(text)["items"]} for text in (one, two)]
    assert not ids[0] & ids[1]


def test_sides_depend_on_the_seed() -> None:
    """Over many seeds a model stands left in about half of the studies, on each case."""
    from nava.evaluation.study.plan import _draw_votes

    cases = [Case(f"c{number}", "T2AV", "p", None, {"a": "a", "b": "b"}) for number in range(3)]
    lefts = Counter(
        item.case_id for seed in range(400) for item in _draw_votes(("a", "b"), cases, seed) if item.left_model == "a"
    )
    # Four standard deviations of 400 fair coins.
    assert all(abs(lefts[case.case_id] - 200) < 40 for case in cases)


class TestRefusals:
    @pytest.fixture
    def given(self, tmp_path: Path) -> tuple[list[StudyCase], dict[str, dict[str, Path]]]:
        cases = study_cases(tmp_path, 1, 0)
        return cases, write_outputs(tmp_path / "outputs", ["t0"], MODELS[:2])

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"study_id": " "}, "needs a name"),
            ({"study_id": f"{MODELS[1].upper()}_vs_rest"}, f"has the model '{MODELS[1]}' in it"),
            ({"seed": -1}, "seed is -1"),
            ({"repeats": 2}, "2 repeats are asked for; there are 1"),
            ({"repeats": -1}, "-1 repeats"),
            ({"cases": []}, "at least one case"),
            ({"cases": [StudyCase("t0", "T2AV", "p")] * 2}, "'t0' is empty or given twice"),
            ({"cases": [StudyCase("t0", "V2A", "p")]}, "task is 'V2A'"),
            ({"cases": [StudyCase("t0", "T2AV", " ")]}, "prompt is empty"),
            ({"cases": [StudyCase("t0", "TI2AV", "p")]}, "first frame is needed for TI2AV"),
            ({"cases": [StudyCase("t1", "T2AV", "p")]}, f"model '{MODELS[0]}' has no clip for it"),
            ({"outputs": {"a": {}}}, "at least two are needed, got 1"),
            ({"outputs": {"a": {}, BROKEN: {}}}, "a model needs a name, and not"),
            ({"outputs": {"a": {"t0": Path("/gone.mp4")}, "b": {}}}, "case 't0', model 'a': /gone.mp4 is missing"),
            ({"attention_checks": [AttentionCheck("t9", MODELS[0], Path("x.mp4"))]}, "check 1: there is no case 't9'"),
            ({"attention_checks": [AttentionCheck("t0", "nobody", Path("x.mp4"))]}, "clip of model 'nobody'"),
            ({"attention_checks": [AttentionCheck("t0", MODELS[0], Path("x.mp4"))]}, "check 1: x.mp4 is missing"),
        ],
    )
    def test_what_does_not_fit_leaves_nothing(
        self, given: tuple[list[StudyCase], dict[str, dict[str, Path]]], tmp_path: Path, change: dict, said: str
    ) -> None:
        asked = {"study_id": "s", "outputs": given[1], "cases": given[0], "seed": 1} | change
        with pytest.raises(InputError, match=said):
            make_study(tmp_path / "study", **asked)
        assert not (tmp_path / "study").exists()

    def test_the_clip_itself_is_no_broken_copy(
        self, given: tuple[list[StudyCase], dict[str, dict[str, Path]]], tmp_path: Path
    ) -> None:
        check = AttentionCheck("t0", MODELS[0], given[1][MODELS[0]]["t0"])
        with pytest.raises(InputError, match="is the clip itself"):
            make_study(tmp_path / "study", "s", given[1], given[0], seed=1, attention_checks=[check])

    def test_a_file_that_is_no_video_leaves_no_half_study(
        self, given: tuple[list[StudyCase], dict[str, dict[str, Path]]], tmp_path: Path
    ) -> None:
        given[1][MODELS[1]]["t0"].write_text("no video")
        before = sorted(path.name for path in tmp_path.iterdir())
        with pytest.raises(InputError, match="cannot be read as a video"):
            make_study(tmp_path / "study", "s", given[1], given[0], seed=1)
        assert sorted(path.name for path in tmp_path.iterdir()) == before

    def test_a_study_is_never_replaced(
        self, given: tuple[list[StudyCase], dict[str, dict[str, Path]]], tmp_path: Path
    ) -> None:
        make_study(tmp_path / "study", "s", given[1], given[0], seed=1)
        (tmp_path / "study" / "votes.jsonl").write_text("kept")
        with pytest.raises(InputError, match="exists already"):
            make_study(tmp_path / "study", "s", given[1], given[0], seed=1)
        assert (tmp_path / "study" / "votes.jsonl").read_text() == "kept"


def test_tags_that_name_a_model_do_not_reach_the_study(tmp_path: Path) -> None:
    cases = study_cases(tmp_path, 1, 0)
    outputs = write_outputs(tmp_path / "outputs", ["t0"], MODELS[:2], tags={"comment": f"model {MODELS[0]}"})
    broken = write_clip(tmp_path / "broken.mp4", 9, tags={"title": MODELS[0]})
    check = AttentionCheck("t0", MODELS[0], broken)
    make_study(tmp_path / "study", "s", outputs, cases, seed=1, attention_checks=[check])
    for path in (tmp_path / "study" / "media").iterdir():
        assert MODELS[0].encode() not in path.read_bytes()
