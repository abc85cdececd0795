"""Encoded prompts and the rule of the slot: where in a prompt's rows the timbre of each speech span goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nava.conditioning.prompt import SPEECH_START, speech_spans
from nava.runtime.errors import InputError

# The released model was trained with this token of umT5 right after every `<S>`; its row gives way to the timbre.
SLOT_TOKEN = "<extra_id_2>"  # noqa: S105
_EXCERPT = 30


@dataclass(frozen=True)
class EncodedText:
    """Prompts as rows that the model attends to.

    Attributes:
        text_BND: float32 rows; those after a prompt's end are zero.
        slots: for each prompt the rows of its slot tokens, one per speech span, in order.
        dropped_words: for each prompt how many words at its end did not fit and are ignored.
    """

    text_BND: Tensor  # noqa: N815
    slots: list[list[int]]
    dropped_words: list[int]


def insert_slots(text: str) -> str:
    """The prompt with a slot token right after every `<S>`.

    Raises:
        InputError: the prompt has a slot token already.
    """
    if (position := text.find(SLOT_TOKEN)) >= 0:
        raise InputError(
            f"prompt, character {position + 1}: {SLOT_TOKEN} stands for the voice and is inserted after each <S>; "
            "leave it out"
        )
    return text.replace(SPEECH_START, SPEECH_START + SLOT_TOKEN)


def kept_slots(text: str, units: Sequence[object], slot: object, room: int, unit: str) -> list[int]:
    """The rows of the slot tokens, all of which must be within the encoder's room.

    Args:
        text: the prompt, for the message.
        units: its tokens or words, all of them, slot tokens among them.
        slot: the slot token as it appears in ``units``.
        room: how many units the encoder takes.
        unit: what they are called, in the singular.

    Raises:
        InputError: the slot of a speech span is beyond the room; the message says which span.
    """
    rows = [row for row, value in enumerate(units) if value == slot]
    for number, row in enumerate(rows, start=1):
        if row >= room:
            words = speech_spans(text)[number - 1 : number] or [text[-_EXCERPT:]]
            said = words[0] if len(words[0]) <= _EXCERPT else words[0][:_EXCERPT] + "..."
            raise InputError(
                f"speech span {number} ('{said}') begins at {unit} {row} of the prompt, but the text encoder takes "
                f"{room} {unit}s: shorten what comes before it"
            )
    return rows
