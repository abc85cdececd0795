"""The structured prompt, the same at training and at inference: four labelled parts and marked speech.

NAVA's prompts describe, in this order, what is seen, how it changes, the camera, and what is heard; words that are
spoken stand between ``<S>`` and ``<E>``.
"""

import re
from dataclasses import dataclass, fields

from nava.runtime.errors import InputError

SPEECH_START, SPEECH_END = "<S>", "<E>"
# Speech marks are balanced and not nested; what data/validation holds captions against.
CAPTION_PATTERN = r"^(?:(?!<[SE]>).|<S>(?:(?!<[SE]>).)*<E>)*$"
LABELS = {
    "visual": "Visual:",
    "temporal": "Temporal dynamics:",
    "camera": "Camera:",
    "audio": "Audio:",
}
_MARK = re.compile(r"<[SE]>")
_LABEL = re.compile("|".join(re.escape(label) for label in LABELS.values()))


class PromptError(InputError):
    """A prompt that breaks the template.

    Args:
        problem: what is wrong.
        text: the prompt.
        position: index of the offending character in it.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        line = text.count("\n", 0, position) + 1
        column = position - (text.rfind("\n", 0, position) + 1) + 1
        excerpt = text[max(0, position - 20) : position + 20].replace("\n", " ")
        super().__init__(f"prompt, line {line}, column {column}: {problem} (near '{excerpt}')")
        self.position = position


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


def parse_prompt(text: str) -> StructuredPrompt:
    """Read a rendered prompt; text without any label is a plain caption and becomes ``visual``.

    Raises:
        PromptError: unbalanced speech marks, text before the first label, a part twice or out of order.
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
    return StructuredPrompt(**values)


def validate_prompt(text: str) -> None:
    """Check that there is text, and that speech marks are balanced, not nested and not empty.

    Raises:
        PromptError: with the position of the first fault.
    """
    if not text.strip():
        raise PromptError("there is no text", text, 0)
    opened: int | None = None
    for mark in _MARK.finditer(text):
        if mark.group() == SPEECH_START:
            if opened is not None:
                raise PromptError("<S> inside speech that is not yet closed by <E>", text, mark.start())
            opened = mark.end()
            continue
        if opened is None:
            raise PromptError("<E> without an <S> before it", text, mark.start())
        if not text[opened : mark.start()].strip():
            raise PromptError("<S><E> without words between them", text, mark.start())
        opened = None
    if opened is not None:
        raise PromptError("<S> without an <E> after it", text, opened - len(SPEECH_START))


def speech_spans(text: str) -> list[str]:
    """The words between each ``<S>`` and ``<E>``, in order."""
    return [span.strip() for span in re.findall(r"<S>(.*?)<E>", text, flags=re.DOTALL)]
