"""Every rater meets everything, in an order of their own."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nava.evaluation.study.ordering import rater_order
from nava.evaluation.study.study_file import ATTENTION, REPEAT, VOTE, Item, Study
from tests.evaluation.study.small_study import small_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    return small_study(tmp_path_factory.mktemp("order"), t2av=5, ti2av=2, checks=3, repeats=4)


def test_each_rater_has_an_order_of_their_own_with_everything_in_it(made: tuple[Path, Study]) -> None:
    study = made[1]
    orders = {rater: [item.item_id for item in rater_order(study, rater)] for rater in ("ann", "bob", "cy")}
    assert all(sorted(order) == sorted(study.items_by_id) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 3
    assert orders["ann"] == [item.item_id for item in rater_order(study, "ann")]
    other = replace(study, seed=study.seed + 1)
    assert orders["ann"] != [item.item_id for item in rater_order(other, "ann")]


def test_a_repeat_comes_well_after_its_first_and_checks_are_spread(made: tuple[Path, Study]) -> None:
    study = made[1]
    gaps = []
    for number in range(50):
        order = rater_order(study, f"rater {number}")
        place = {item.item_id: index for index, item in enumerate(order)}
        gaps += [place[item.item_id] - place[item.repeat_of] for item in order if item.repeat_of]
        checks = [index for index, item in enumerate(order) if item.kind == ATTENTION]
        thirds = [index * 3 // len(order) for index in checks]
        assert thirds == [0, 1, 2]
    assert min(gaps) > 0
    assert sum(gaps) / len(gaps) > len(study.items) / 3


def test_no_item_is_always_early(made: tuple[Path, Study]) -> None:
    """Tiredness would fall on the same ones."""
    places: Counter[str] = Counter()
    for number in range(300):
        for index, item in enumerate(rater_order(made[1], f"r{number}")):
            if item.kind == VOTE and not any(again.repeat_of == item.item_id for again in made[1].items):
                places[item.item_id] += index
    means = [total / 300 for total in places.values()]
    assert max(means) - min(means) < 4


@pytest.mark.parametrize("repeats", [0, 1, 21])
def test_any_number_of_repeats_up_to_all_fits(repeats: int) -> None:
    items = [Item(f"i{n}", VOTE, "c", "a", "b", "l", "r") for n in range(21)]
    again = [Item(f"r{n}", REPEAT, "c", "b", "a", "r", "l", repeat_of=f"i{n}") for n in range(repeats)]
    study = Study("s", 0, ("a", "b"), ("q",), (), (*items, *again))
    order = rater_order(study, "ann")
    assert sorted(item.item_id for item in order) == sorted(study.items_by_id)
    place = {item.item_id: index for index, item in enumerate(order)}
    assert all(place[item.item_id] > place[item.repeat_of] for item in order if item.repeat_of)
