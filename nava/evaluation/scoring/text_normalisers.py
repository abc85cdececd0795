"""What is done to texts before errors are counted: named profiles, since each published WER has its own.

Section 1.7 of the evaluation reference. A profile turns a text into words separated by spaces; where Chinese is scored,
a word is a character. Turning traditional characters into simplified ones needs a dictionary that is not part of this
project: whoever scores Chinese passes a function for it (`word_errors.text_errors`), or counts variants as errors.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from nava.runtime.errors import InputError

# Punctuation of Chinese text that Seed-TTS's scorer deletes: (first, last) code points. The full-width full stop FF0E
# and the low quote 201A are not in it; the curly apostrophe 2019 is, although the straight one is kept.
_CHINESE_PUNCTUATION = (
    (0x00B7, 0x00B7),
    (0x2013, 0x2014),
    (0x2018, 0x2019),
    (0x201B, 0x201F),
    (0x2026, 0x2027),
    (0x3000, 0x3003),
    (0x3008, 0x3011),
    (0x3014, 0x301F),
    (0x3030, 0x3030),
    (0x303E, 0x303F),
    (0xFE4F, 0xFE4F),
    (0xFE51, 0xFE51),
    (0xFE54, 0xFE54),
    (0xFF01, 0xFF0D),
    (0xFF0F, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF64),
)
# Scripts written without spaces: kana, Han and its extensions. Korean has spaces and keeps its words.
_UNSPACED_SCRIPTS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))


def _characters(ranges: tuple[tuple[int, int], ...]) -> frozenset[str]:
    return frozenset(chr(code) for first, last in ranges for code in range(first, last + 1))


CHINESE_PUNCTUATION = _characters(_CHINESE_PUNCTUATION)
ALL_PUNCTUATION = CHINESE_PUNCTUATION | frozenset(string.punctuation)
_SEED_DELETED = str.maketrans(dict.fromkeys(ALL_PUNCTUATION - {"'"}))
_CJK_DELETED = str.maketrans(dict.fromkeys(ALL_PUNCTUATION))


@dataclass(frozen=True)
class TextProfile:
    """A named way of normalising; the name is part of the protocol id of a result."""

    name: str
    description: str
    normalise: Callable[[str], str]


def seed_tts_en(text: str) -> str:
    """Seed-TTS-eval, English: punctuation but the apostrophe deleted (hyphenated words join), lower case."""
    return _without_seed_punctuation(text).lower()


def seed_tts_zh(text: str) -> str:
    """Seed-TTS-eval, Chinese: the same punctuation deleted, a space between any two characters, case kept."""
    return " ".join(_without_seed_punctuation(text))


def verse_bench(text: str) -> str:
    """Verse-Bench: stripped and lower case. Punctuation counts, and a Chinese sentence is one word."""
    return text.strip().lower()


def nfkc_cjk(text: str) -> str:
    """daVinci and FastVideo: NFKC, stripped, lower case, punctuation deleted, Chinese and Japanese by character."""
    plain = unicodedata.normalize("NFKC", text).strip().lower().translate(_CJK_DELETED)
    return " ".join("".join(f" {one} " if _is_unspaced(one) else one for one in plain).split())


PROFILES = {
    profile.name: profile
    for profile in (
        TextProfile("seed_tts_en", "Seed-TTS-eval English words", seed_tts_en),
        TextProfile("seed_tts_zh", "Seed-TTS-eval Chinese characters", seed_tts_zh),
        TextProfile("verse_bench", "Verse-Bench words as they stand", verse_bench),
        TextProfile("nfkc_cjk", "NFKC words, Chinese and Japanese by character", nfkc_cjk),
    )
}


def text_profile(name: str) -> TextProfile:
    """The profile of that name; InputError for an unknown one."""
    try:
        return PROFILES[name]
    except KeyError:
        raise InputError(f"unknown text profile {name!r}: known are {', '.join(PROFILES)}") from None


def _without_seed_punctuation(text: str) -> str:
    # One pass over double spaces, as published: what is left of longer runs is the counter's to ignore.
    return text.translate(_SEED_DELETED).replace("  ", " ")


def _is_unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED_SCRIPTS)
