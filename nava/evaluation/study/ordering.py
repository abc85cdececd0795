"""Orders that follow from a seed, and the one in which a rater meets the items of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from nava.evaluation.study.study_file import ATTENTION, REPEAT, VOTE, Item, Study
from nava.runtime.hashing import sha256_bytes

_T = TypeVar("_T")


class HashOrder:
    """Orders by hash: the same for the same names, and as good as random."""

    def __init__(self, key: str) -> None:
        self._key = key

    def digest(self, *parts: object) -> str:
        """64 hexadecimal digits that follow from the key and the parts."""
        return sha256_bytes("\0".join([self._key, *map(str, parts)]).encode())

    def shuffled(self, values: Iterable[_T], purpose: str, name: Callable[[_T], str]) -> list[_T]:
        """The values in an order that follows from their names; another purpose gives another order."""
        return sorted(values, key=lambda value: self.digest(purpose, name(value)))


def rater_order(study: Study, rater: str) -> list[Item]:
    """The items in the order in which this rater meets them: their own, and the same at every call.

    What is repeated comes in the first half and its repetition in the second, in the same order, so that about half of
    the study lies between; attention checks are spread evenly.
    """
    order = HashOrder(f"{study.seed}\0{rater}")
    votes = order.shuffled([item for item in study.items if item.kind == VOTE], "vote", _item_id)
    again = {item.repeat_of: item for item in study.items if item.kind == REPEAT}
    twice = [item for item in votes if item.item_id in again]
    once = [item for item in votes if item.item_id not in again]
    in_first = max(0, (len(votes) + len(again)) // 2 - len(twice))
    first = order.shuffled([*twice, *once[:in_first]], "first", _item_id)
    second = _spread(once[in_first:], [again[item.item_id] for item in first if item.item_id in again])
    checks = order.shuffled([item for item in study.items if item.kind == ATTENTION], "check", _item_id)
    return _spread([*first, *second], checks)


def _spread(main: Sequence[Item], guests: Sequence[Item]) -> list[Item]:
    """The guests among the others, in their order and at even distances."""
    result = list(main)
    for number, guest in reversed(list(enumerate(guests))):
        result.insert(round((number + 0.5) * len(main) / len(guests)), guest)
    return result


def _item_id(item: Item) -> str:
    return item.item_id
