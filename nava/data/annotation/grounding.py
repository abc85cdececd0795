"""Who speaks when, as a model with temporal grounding says, and the checks its word is held against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from nava.conditioning.speech import ATTRIBUTES, kind_of
from nava.data.annotation.caption_parts import without_marks
from nava.data.annotation.endpoint import AnswerError

SLACK_S = 0.05  # models round times; a span may overhang the clip or its neighbour by this much and is trimmed
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STATED = tuple(name for name in ATTRIBUTES if name != "time")


@dataclass(frozen=True)
class GroundedSpan:
    """What one speaker says in one go; times in seconds of the clip, attributes in words or empty."""

    speaker: str
    t0_s: float
    t1_s: float
    text: str
    voice: str = ""
    emotion: str = ""
    rate: str = ""
    position: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)

    @property
    def utterance(self) -> dict[str, Any]:
        """As the manifest's column `speech` has it."""
        return {"speaker": self.speaker, "t0_s": self.t0_s, "t1_s": self.t1_s, "text": self.text}


def read_spans(answer: Any, duration_s: float) -> list[GroundedSpan]:
    """The spans of a model's answer, in order.

    Raises:
        AnswerError: not of the form; a span outside the clip, out of order, or over another one of the same speaker.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("speech"), list):
        raise AnswerError("the answer has no list 'speech'")
    spans = [_read_span(item, number, duration_s) for number, item in enumerate(answer["speech"])]
    ends: dict[str, float] = {}
    start_s = 0.0
    for number, span in enumerate(spans):
        if span.t0_s < start_s:
            raise AnswerError(f"speech[{number}] begins at {span.t0_s:.2f} s, before the one ahead of it")
        start_s = span.t0_s
        end_s = ends.get(span.speaker, 0.0)
        if span.t0_s < end_s - SLACK_S:
            raise AnswerError(
                f"speech[{number}]: {span.speaker} begins at {span.t0_s:.2f} s and speaks until {end_s:.2f} s already"
            )
        ends[span.speaker] = span.t1_s
    return spans


def agreement(spoken: Sequence[str], recognised: Sequence[str]) -> float:
    """How far two transcripts are the same, 0 to 1: twice the words in common, in order, over all words of both.

    Case and punctuation do not count. Utterances may be cut at other places.
    """
    ours, theirs = (_words(" ".join(texts)) for texts in (spoken, recognised))
    return SequenceMatcher(None, ours, theirs, autojunk=False).ratio()


def _words(text: str) -> list[str]:
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def _read_span(item: Any, number: int, duration_s: float) -> GroundedSpan:
    where = f"speech[{number}]"
    texts = ("speaker", "text", *_STATED)
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in texts):
        raise AnswerError(f"{where} has no texts {', '.join(texts)}")
    t0_s, t1_s = _seconds(item.get("t0_s"), where), _seconds(item.get("t1_s"), where)
    if not (-SLACK_S <= t0_s < t1_s <= duration_s + SLACK_S):
        raise AnswerError(f"{where} lasts from {t0_s:.2f} to {t1_s:.2f} s; the clip from 0 to {duration_s:.2f} s")
    speaker, text = without_marks(item["speaker"]), without_marks(item["text"])
    if not speaker or not _words(text):
        raise AnswerError(f"{where} has no speaker or no words")
    return GroundedSpan(speaker, max(t0_s, 0.0), min(t1_s, duration_s), text, **_attributes(item))


def _seconds(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise AnswerError(f"{where} has no times in seconds")
    return float(value)


def _attributes(item: dict[str, str]) -> dict[str, str]:
    """Attributes that the prompt can state as what they are; others are left out rather than said wrongly."""
    stated = {name: " ".join(item[name].split()) for name in _STATED}
    return {name: value for name, value in stated.items() if value and kind_of(value) == name and value.isprintable()}
