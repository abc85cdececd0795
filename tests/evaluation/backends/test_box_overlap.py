"""Overlap of boxes in closed form, and suppression against its definition."""

import numpy as np
import pytest

from nava.evaluation.backends.box_overlap import best_boxes, intersection_over_union


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 15, 10), 50 / 150),
        ((5, 5, 15, 15), 25 / 175),
        ((2, 2, 8, 8), 0.36),
        ((10, 0, 20, 10), 0.0),
        ((30, 30, 40, 40), 0.0),
        ((12, 12, 12, 12), 0.0),
    ],
)
def test_overlap_in_closed_form(other: tuple[int, ...], share: float) -> None:
    box = np.array([0.0, 0.0, 10.0, 10.0])
    other_N4 = np.array([other, other], float)
    assert intersection_over_union(box, other_N4) == pytest.approx([share, share])
    assert intersection_over_union(other_N4[0], box[None]) == pytest.approx([share])


def test_corner_pixels_may_belong_to_both() -> None:
    box, beside = np.array([0.0, 0.0, 9.0, 9.0]), np.array([[9.0, 0.0, 18.0, 9.0]])
    assert intersection_over_union(box, beside)[0] == 0.0
    assert intersection_over_union(box, beside, edge=1.0)[0] == pytest.approx(10 / 190)
    nothing = np.zeros((1, 4))
    assert intersection_over_union(nothing[0], nothing)[0] == 0.0, "and not a division by zero"


@pytest.mark.parametrize("limit", [0.1, 0.3, 0.6])
def test_what_is_kept_and_why(limit: float) -> None:
    rng = np.random.default_rng(3)
    corner_N2 = rng.uniform(0, 60, (200, 2))
    box_N4 = np.concatenate([corner_N2, corner_N2 + rng.uniform(10, 40, (200, 2))], axis=1)
    score_N = rng.permutation(200) / 200
    kept = best_boxes(box_N4, score_N, limit)
    assert 1 < len(kept) < 200
    assert list(score_N[kept]) == sorted(score_N[kept], reverse=True)
    for index in range(200):
        better = [other for other in kept if score_N[other] > score_N[index]]
        overlapped = bool(better) and (intersection_over_union(box_N4[index], box_N4[better]) > limit).any()
        assert (index in kept) != overlapped, "a box is left out if and only if a better one that is kept overlaps it"


def test_nothing_of_nothing() -> None:
    assert best_boxes(np.empty((0, 4)), np.empty(0), 0.3).tolist() == []
