"""The words of a caption that name something measurable, and captions with one such word changed.

Which word that is stands in the clip's tags, as the captioner wrote them: `colour:red`, `pitch:low`. So "a bar in the
middle with a low tone" names one pitch, not two.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MIN_WORD_SHARE = 0.03
"""A word that fewer of the captions use is a slip of the captioner, not part of the corpus's language."""


@dataclass(frozen=True)
class Attribute:
    """Something captions name with one word of a closed list, e.g. the colour of the bar."""

    name: str
    words: tuple[str, ...]

    @property
    def chance(self) -> float:
        """The share that guessing gets right."""
        return 1 / len(self.words)


def attribute_of_tags(name: str, tags_of_clips: Iterable[Sequence[str]]) -> Attribute:
    """The words that the tags of a corpus use for an attribute, sorted; rare ones are left out."""
    counts = Counter(word for tags in tags_of_clips if (word := tagged_word(name, tags)) is not None)
    least = MIN_WORD_SHARE * sum(counts.values())
    return Attribute(name, tuple(sorted(word for word, count in counts.items() if count >= least)))


def tagged_word(name: str, tags: Sequence[str]) -> str | None:
    """The word that follows `name:` in the tags."""
    return next((tag.removeprefix(f"{name}:") for tag in tags if tag.startswith(f"{name}:")), None)


def named_word(caption: str, tags: Sequence[str], attribute: Attribute) -> str | None:
    """The attribute's word of a caption, if the tags have one of the list and the caption really says it."""
    word = tagged_word(attribute.name, tags)
    return word if word in attribute.words and word is not None and _mentions(caption, word) else None


def swap_word(caption: str, tags: Sequence[str], attribute: Attribute, turn: int = 0) -> tuple[str, str, str] | None:
    """The caption with the attribute's word changed, the old word and the new one.

    ``turn`` walks through the other words, so that a series of swaps uses all of them. None if the caption does not
    name the attribute exactly once: then a changed word would not be the only change.
    """
    old = named_word(caption, tags, attribute)
    if old is None or len(attribute.words) < 2 or _mentions(caption, old) != 1:
        return None
    others = [word for word in attribute.words if word != old]
    new = others[turn % len(others)]
    return _pattern(old).sub(lambda match: _in_case_of(match.group(), new), caption), old, new


def _mentions(caption: str, word: str) -> int:
    return len(_pattern(word).findall(caption))


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)


def _in_case_of(old: str, new: str) -> str:
    return new.capitalize() if old[:1].isupper() else new
