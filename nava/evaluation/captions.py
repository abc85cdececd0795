"""The words of a caption that name something measurable, and captions with one such word changed."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """Something a caption names with one word of a closed list, e.g. the colour of the bar."""

    name: str
    words: tuple[str, ...]

    @property
    def chance(self) -> float:
        """The share that guessing gets right."""
        return 1 / len(self.words)


def named_word(caption: str, attribute: Attribute) -> str | None:
    """The attribute's word in a caption; None if there is none, or several different ones."""
    found = {match.group().lower() for match in _pattern(attribute).finditer(caption)}
    return found.pop() if len(found) == 1 else None


def swap_word(caption: str, attribute: Attribute, turn: int = 0) -> tuple[str, str, str] | None:
    """The caption with the attribute's word changed, the old word and the new one; None if the caption names none.

    ``turn`` walks through the other words, so that a series of swaps uses all of them.
    """
    old = named_word(caption, attribute)
    if old is None or len(attribute.words) < 2:
        return None
    others = [word for word in attribute.words if word != old]
    new = others[turn % len(others)]
    return _pattern(attribute).sub(lambda match: _in_case_of(match.group(), new), caption), old, new


def _pattern(attribute: Attribute) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(map(re.escape, attribute.words)) + r")\b", re.IGNORECASE)


def _in_case_of(old: str, new: str) -> str:
    return new.capitalize() if old[:1].isupper() else new
