"""Boxes that overlap: intersection over union, and one box of many for the same thing."""

from __future__ import annotations

import numpy as np


def intersection_over_union(box_4: np.ndarray, box_N4: np.ndarray, edge: float = 0.0) -> np.ndarray:
    """Share of a box with each of others [N]; 0 where neither has an area.

    Args:
        box_4: x1, y1, x2, y2.
        box_N4: the same, a row each.
        edge: added to every width and height; 1 where both corner pixels belong to a box.
    """
    top_left_N2 = np.maximum(box_4[:2], box_N4[:, :2])
    bottom_right_N2 = np.minimum(box_4[2:], box_N4[:, 2:])
    common_N = np.maximum(bottom_right_N2 - top_left_N2 + edge, 0.0).prod(axis=1)
    union_N = _areas(box_4[None], edge) + _areas(box_N4, edge) - common_N
    return np.divide(common_N, union_N, out=np.zeros_like(common_N), where=union_N > 0)


def best_boxes(box_N4: np.ndarray, score_N: np.ndarray, max_overlap: float, edge: float = 0.0) -> np.ndarray:
    """Indices of the boxes that no better one overlaps by more than `max_overlap`, best first.

    Greedy non-maximum suppression: each box that is kept removes the worse ones that overlap it.
    """
    left = np.argsort(-score_N, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[intersection_over_union(box_N4[best], box_N4[left], edge) <= max_overlap]
    return np.array(kept, dtype=int)


def _areas(box_N4: np.ndarray, edge: float) -> np.ndarray:
    return (box_N4[:, 2:] - box_N4[:, :2] + edge).prod(axis=1)
