"""The structured prompt, the same at training and at inference: four labelled parts and marked speech.

NAVA's prompts describe, in this order, what is seen, how it changes, the camera, and what is heard; words that are
spoken stand between ``<S>`` and ``<E>``, their speaker right before (see `nava.conditioning.speech`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from nava.conditioning.speech import (
    SPEECH_END,
    SPEECH_START,
    Piece,
    PromptError,
    SpeechSpan,
    check_marks,
    read_speech,
    render_speech,
)
from nava.runtime.errors import InputError

__all__ = [
    "CAPTION_PATTERN",
    "LABELS",
    "SPEECH_END",
    "SPEECH_START",
    "PromptError",
    "SpeechSpan",
    "StructuredPrompt",
    "parse_prompt",
    "prompt_text",
    "speech_in",
    "speech_spans",
    "validate_prompt",
]

# Speech marks are balanced and not nested; what data/validation holds captions against.
CAPTION_PATTERN = r"^(?:(?!<[SE]>).|<S>(?:(?!<[SE]>).)*<E>)*$"
LABELS = {
    "visual": "Visual:",
    "temporal": "Temporal dynamics:",
    "camera": "Camera:",
    "audio": "Audio:",
}
_LABEL = re.compile("|".join(re.escape(label) for label in LABELS.values()))


@dataclass(frozen=True)
class StructuredPrompt:
    """The parts of a prompt; only ``visual`` or ``audio`` must be present.

    Attributes:
        visual: what is seen.
        temporal: how it changes.
        camera: camera and composition.
        audio: what is heard, with spoken words as ``<S>words<E>``.
    """

    visual: str = ""
    temporal: str = ""
    camera: str = ""
    audio: str = ""

    def render(self) -> str:
        """The prompt as text, a line per part, absent parts left out.

        Raises:
            PromptError: a part breaks the template.
        """
        lines = []
        for part in fields(self):
            value = " ".join(getattr(self, part.name).split())
            if value and (label := _LABEL.search(value)):
                raise PromptError(f"part '{part.name}' contains the label '{label.group()}'", value, label.start())
            if value:
                lines.append(f"{LABELS[part.name]} {value}")
        text = "\n".join(lines)
        validate_prompt(text)
        return text

    @property
    def speech(self) -> list[str]:
        """The spoken words, span by span."""
        return speech_spans(self.audio)

    @property
    def spans(self) -> list[SpeechSpan]:
        """The spoken words with their speakers and attributes; positions count in ``audio``.

        Raises:
            PromptError: attributes that cannot be told apart.
        """
        return [piece for piece in read_speech(self.audio) if isinstance(piece, SpeechSpan)]

    def to_json(self) -> dict[str, Any]:
        """The parts by name; ``audio`` is a list of prose and of speech as objects, if there is any speech.

        Raises:
            PromptError: attributes that cannot be told apart.
        """
        value: dict[str, Any] = {part.name: text for part in fields(self) if (text := getattr(self, part.name))}
        if self.speech:
            value["audio"] = [piece if isinstance(piece, str) else piece.to_json() for piece in read_speech(self.audio)]
        return value

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read parts by name; ``audio`` may be text, or a list of text and speech objects.

        Raises:
            InputError: unknown parts, or values of another kind; the message names them.
            PromptError: a part that breaks the template.
        """
        if not isinstance(value, Mapping) or not set(value) <= set(LABELS):
            raise InputError(f"a structured prompt is an object with {', '.join(LABELS)}; got {value!r}")
        parts = dict(value)
        if isinstance(parts.get("audio"), list):
            parts["audio"] = render_speech([_piece(item, number) for number, item in enumerate(parts["audio"])])
        for name, text in parts.items():
            if not isinstance(text, str):
                raise InputError(f"part '{name}' of the prompt must be text, got {text!r}")
        prompt = cls(**parts)
        prompt.render()
        return prompt


def prompt_text(value: Any) -> str:
    """The prompt of a request: text as it is, since a model may have been trained on such; an object is rendered.

    Raises:
        InputError: neither text nor an object with a structured prompt's parts.
        PromptError: it breaks the template.
    """
    if not isinstance(value, str):
        return StructuredPrompt.from_json(value).render()
    validate_prompt(value)
    return value


def parse_prompt(text: str) -> StructuredPrompt:
    """Read a rendered prompt; text without any label is a plain caption and becomes ``visual``.

    Raises:
        PromptError: unbalanced speech marks, text before the first label, a part twice or out of order, and in a
            labelled prompt attributes of speech that cannot be told apart.
    """
    validate_prompt(text)
    labels = list(_LABEL.finditer(text))
    if not labels:
        return StructuredPrompt(visual=" ".join(text.split()))
    if text[: labels[0].start()].strip():
        raise PromptError(f"text before the label '{labels[0].group()}'", text, 0)
    names = list(LABELS)
    values: dict[str, str] = {}
    ends = [label.start() for label in labels[1:]] + [len(text)]
    for label, end in zip(labels, ends, strict=True):
        name = next(name for name, known in LABELS.items() if known == label.group())
        if values and names.index(name) <= max(names.index(seen) for seen in values):
            problem = "occurs twice" if name in values else f"must come before '{LABELS[list(values)[-1]]}'"
            raise PromptError(f"the part '{label.group()}' {problem}", text, label.start())
        values[name] = " ".join(text[label.end() : end].split())
    speech_in(text)
    return StructuredPrompt(**values)


def validate_prompt(text: str) -> None:
    """Check that there is text, and that speech marks are balanced, not nested and not empty.

    Raises:
        PromptError: with the position of the first fault.
    """
    if not text.strip():
        raise PromptError("there is no text", text, 0)
    check_marks(text)


def speech_in(text: str) -> list[SpeechSpan]:
    """All speech of a prompt, labelled or plain, with speakers and attributes.

    In a plain caption, brackets before speech may hold any prose: what cannot be told apart is left alone.

    Raises:
        PromptError: unbalanced speech marks; in a labelled prompt also attributes that cannot be told apart.
    """
    labels = [label.end() for label in _LABEL.finditer(text)]
    return [piece for piece in read_speech(text, labels, strict=bool(labels)) if isinstance(piece, SpeechSpan)]


def speech_spans(text: str) -> list[str]:
    """The words between each ``<S>`` and ``<E>``, in order."""
    return [span.strip() for span in re.findall(r"<S>(.*?)<E>", text, flags=re.DOTALL)]


def _piece(item: Any, number: int) -> Piece:
    return item if isinstance(item, str) else SpeechSpan.from_json(item, f"audio[{number}]")
