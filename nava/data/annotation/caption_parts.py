"""What is said of a clip, in the parts of the structured prompt, and the plain caption made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from nava.conditioning.prompt import LABELS
from nava.conditioning.speech import SPEECH_END, SPEECH_START, check_marks
from nava.data.annotation.endpoint import AnswerError

PARTS = tuple(LABELS)
_MAX_CHARACTERS = 4000  # of one part; more is a model in a loop


@dataclass(frozen=True)
class CaptionParts:
    """Prose without speech marks; a part that nothing is known of is empty.

    Attributes:
        visual: what is seen.
        temporal: how it changes.
        camera: camera and composition.
        audio: what is heard, spoken words left out.
    """

    visual: str = ""
    temporal: str = ""
    camera: str = ""
    audio: str = ""

    @property
    def text(self) -> str:
        """The parts as one paragraph."""
        return " ".join(part for part in asdict(self).values() if part)

    def to_json(self) -> dict[str, str]:
        """The parts by name."""
        return asdict(self)

    @classmethod
    def from_answer(cls, answer: Any, names: Sequence[str] = PARTS) -> Self:
        """The parts that a model's answer gives.

        Raises:
            AnswerError: a part is missing, empty, overlong, or holds speech marks or labels of the template.
        """
        if not isinstance(answer, dict):
            raise AnswerError(f"the answer is no object: {str(answer)[:80]!r}")
        return cls(**{name: _prose(name, answer.get(name)) for name in names})


def with_speech(text: str, words: Sequence[str]) -> str:
    """A plain caption: the description, then what is said, utterance by utterance, each as a span."""
    spans = " ".join(f"{SPEECH_START}{spoken}{SPEECH_END}" for spoken in words)
    caption = f"{text} {spans}".strip()
    check_marks(caption)
    return caption


def without_marks(text: str) -> str:
    """Words on one line, without the marks that would end or begin a span: no text from outside may carry them."""
    for mark in (SPEECH_START, SPEECH_END):
        text = text.replace(mark, " ")
    return " ".join(text.split())


def _prose(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise AnswerError(f"part '{name}' of the answer is no text: {str(value)[:80]!r}")
    # Models like to begin a part with its own label.
    text = " ".join(value.split()).removeprefix(LABELS[name]).strip()
    if not text or len(text) > _MAX_CHARACTERS:
        raise AnswerError(f"part '{name}' of the answer has {len(text)} characters; it may have 1 to {_MAX_CHARACTERS}")
    for foreign in (SPEECH_START, SPEECH_END, *LABELS.values()):
        if foreign in text:
            raise AnswerError(f"part '{name}' of the answer holds {foreign!r}")
    return text
