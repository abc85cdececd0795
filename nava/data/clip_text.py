"""The text of a clip as rows, and the voices of its speech: which words the model reads, and who says them how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nava.artifacts.clip_manifest import ClipRow
from nava.conditioning.encoded_text import EncodedText
from nava.conditioning.speech import SPEECH_START
from nava.conditioning.text import TextEncoder
from nava.conditioning.timbre import TimbreEncoder
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class ClipText:
    """A clip's text, encoded.

    Attributes:
        text: what was encoded.
        text_ND: its rows.
        dropped_words: how many of its words the encoder had no row for.
        voice_SE: one vector per speech span with a row; zeros where the voice is too short or silent to be told. None
            if the clip has no voices to give: no speech, no timbre encoder, or a text with another number of speech
            spans than the manifest has utterances.
        voice_slots: the row of each.
    """

    text: str
    text_ND: Tensor  # noqa: N815
    dropped_words: int
    voice_SE: Tensor | None = None  # noqa: N815
    voice_slots: tuple[int, ...] = ()


def text_of(clip: ClipRow, column: str) -> str:
    """The text that describes a clip: of the column, or its caption where that is empty."""
    return str(clip.get(column) or clip.get("caption") or "")


def encode_text(
    clip: ClipRow, column: str, sound_N: Tensor, text_encoder: TextEncoder, timbre_encoder: TimbreEncoder | None
) -> ClipText:
    """Encode what describes a clip, and the voices of its speech if there is a timbre encoder.

    Args:
        clip: a row of the manifest.
        column: ``prompt`` or ``caption``.
        sound_N: the clip's sound at the timbre encoder's rate.
        text_encoder: makes the rows, slots for voices among them.
        timbre_encoder: makes the vectors; None gives none.
    """
    text = text_of(clip, column)
    encoded = _encode_what_fits(text, text_encoder)
    slots, dropped = encoded.slots[0], encoded.dropped_words[0]
    result = ClipText(text, encoded.text_BND[0], dropped)
    speech = clip.get("speech") or []
    if timbre_encoder is None or not slots or len(speech) != text.count(SPEECH_START):
        return result
    voice_SE = _voices(speech[: len(slots)], sound_N, timbre_encoder)
    return ClipText(text, encoded.text_BND[0], dropped, voice_SE, tuple(slots))


def _encode_what_fits(text: str, encoder: TextEncoder) -> EncodedText:
    """The text without the speech spans that begin beyond the last row; their words count as dropped."""
    rest = text
    while True:
        try:
            encoded = encoder.encode_prompts([rest])
        except InputError:
            if SPEECH_START not in rest:
                raise
            rest = rest[: rest.rindex(SPEECH_START)].rstrip()
            continue
        dropped = encoded.dropped_words if rest == text else [encoder.dropped_words(text)]
        return EncodedText(encoded.text_BND, encoded.slots, dropped)


def _voices(speech: Sequence[dict[str, Any]], sound_N: Tensor, encoder: TimbreEncoder) -> Tensor:
    """The vector of each utterance's speaker [S, E]: of all that the speaker says in the clip, one after the other."""
    rate = encoder.sample_rate_hz
    said: dict[str, list[Tensor]] = {}
    for utterance in speech:
        first, last = (round(float(utterance[edge]) * rate) for edge in ("t0_s", "t1_s"))
        said.setdefault(str(utterance["speaker"]), []).append(sound_N[max(0, first) : max(0, last)])
    vectors = {}
    for speaker, parts in said.items():
        try:
            vectors[speaker] = encoder.encode(torch.cat(parts))
        except InputError:
            # Too little of it to be told from others: an unknown voice, which zeros stand for.
            vectors[speaker] = torch.zeros(encoder.width)
    return torch.stack([vectors[str(utterance["speaker"])] for utterance in speech])
