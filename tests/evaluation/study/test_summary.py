"""The summary is plain JSON: numbers, or null with the reason."""

import json

from nava.evaluation.study.aggregate import aggregate
from nava.evaluation.study.summary import summary
from tests.evaluation.study.small_study import both_criteria, vote


def test_the_summary_is_json_with_a_reason_for_each_missing_number() -> None:
    votes = [*both_criteria(rater="ann"), *both_criteria(rater="bob", choice="tie"), vote("cy", "t1", "right")]
    value = json.loads(json.dumps(summary(aggregate(votes)), allow_nan=False))
    assert (value["schema_version"], value["study_id"]) == (1, "spring")
    assert (value["answers"], value["counted"], value["left_out"]) == (5, 5, {})
    assert [rater["rater"] for rater in value["raters"]] == ["ann", "bob", "cy"]
    pair = value["questions"][0]["pairs"][0]
    assert (pair["wins"] + pair["losses"], pair["ties"]) == (2, 1)
    numbers = [value["consistency"], *(rater["consistency"] for rater in value["raters"])]
    for question in value["questions"]:
        numbers += [question["agreement"], question["side_bias"]["left_share"], question["side_bias"]["p"]]
        numbers += [one[name] for one in question["pairs"] for name in one if isinstance(one[name], dict)]
    assert all((number["value"] is None) == bool(number["reason"]) for number in numbers)
    assert value["consistency"]["reason"] == "no item was judged twice"
    assert pair["win_rate"]["n"] == 2


def test_strengths_without_a_fit_say_why() -> None:
    value = summary(aggregate([vote(choice="tie")]))["questions"][0]["strengths"]
    assert (value["elo"], value["tie_weight"]) == ([], None)
    assert "only ties" in value["reason"]
