"""Reference voices and the speech that they speak: which voice is whose, and the model's two tensors.

The release spreads one voice over all speech, drops what is too many, and stops on what is too few. Here every span has
exactly one voice, or nothing is generated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nava.conditioning.encoded_text import EncodedText
from nava.conditioning.prompt import speech_in
from nava.conditioning.speech import SpeechSpan
from nava.conditioning.timbre import TimbreEncoder
from nava.runtime.errors import InputError

_EXCERPT = 30


@dataclass(frozen=True, eq=False)
class Voice:
    """A reference voice: a recording, samples, or its vector; with none of them an unknown voice.

    Attributes:
        name: the speaker whose speech it is; None for a voice that goes by its position.
        path: a recording.
        samples: float samples [N] or [C, N] at the timbre encoder's rate.
        vector: what a timbre encoder gave, [E].
    """

    name: str | None = None
    path: Path | None = None
    samples: Tensor | None = None
    vector: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse a voice that is given twice, and an empty name."""
        if sum(source is not None for source in (self.path, self.samples, self.vector)) > 1:
            raise InputError(f"voice {self.label} is given more than once: as path, samples or vector")
        if self.name is not None and not self.name.strip():
            raise InputError(f"voice {self.label} has an empty name")

    @property
    def label(self) -> str:
        """What to call it in a message."""
        return f"'{self.name or self.path or 'without a name'}'"

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of it; the model then has a timbre of its own choice."""
        return self.path is None and self.samples is None and self.vector is None


def bind_voices(prompt: str | Sequence[SpeechSpan], voices: Sequence[Voice]) -> list[Voice]:
    """One voice per speech span: the i-th for the i-th, or by the names of the speakers.

    Args:
        prompt: a prompt, or the speech in it.
        voices: all with names, or all without; none at all is fine and gives an empty list.

    Raises:
        InputError: too few or too many voices, names given only in part or twice, or a span without a speaker.
    """
    spans = speech_in(prompt) if isinstance(prompt, str) else list(prompt)
    if not voices:
        return []
    if not spans:
        raise InputError(f"{_count(voices, 'voice')} given, but the prompt has no speech: mark it as <S>words<E>")
    named = [voice for voice in voices if voice.name is not None]
    if not named:
        return _by_position(spans, voices)
    if len(named) < len(voices):
        nameless = next(voice for voice in voices if voice.name is None)
        raise InputError(
            f"voice {named[0].label} has a speaker's name and voice {nameless.label} has none: name all voices or none"
        )
    return _by_name(spans, voices)


def voice_vectors(voices: Sequence[Voice], encoder: TimbreEncoder, read: Callable[[Path, int], Tensor]) -> Tensor:
    """The vectors [S, E] of bound voices; a voice that speaks several spans is encoded once.

    Args:
        voices: what ``bind_voices`` gave.
        encoder: the timbre encoder that the model was trained with.
        read: gives the samples of a file at a sample rate.

    Raises:
        InputError: a voice cannot be read or encoded, or has a vector of another width; the message names it.
    """
    known: dict[int, Tensor] = {}
    for voice in voices:
        if id(voice) not in known:
            known[id(voice)] = _vector(voice, encoder, read)
    return torch.stack([known[id(voice)] for voice in voices]) if voices else torch.zeros(0, encoder.width)


def speaker_tensors(encoded: EncodedText, vectors: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """What the model takes: vectors [S, E] of all samples in order, and the context row of each [S].

    Args:
        encoded: prompts with slots.
        vectors: for each prompt the vectors of its speech spans [spans, E]; None or no rows for a prompt without
            voices, whose slots keep their text rows.

    Returns:
        ``speaker_SE`` and ``speaker_slot_S``, a slot being sample * rows + row; None and None without any voice.

    Raises:
        InputError: as many vectors as slots are wanted, for every prompt that has any.
    """
    samples, rows = encoded.text_BND.shape[:2]
    if len(vectors) != samples:
        raise InputError(f"{samples} prompts, but voices for {len(vectors)}")
    speakers, slots = [], []
    for sample, (vector_SE, places) in enumerate(zip(vectors, encoded.slots, strict=True)):
        if vector_SE is None or not len(vector_SE):
            continue
        if len(vector_SE) != len(places):
            raise InputError(
                f"prompt {sample + 1} has {len(places)} speech spans, but {_count(vector_SE, 'voice')} given"
            )
        speakers.append(vector_SE)
        slots += [sample * rows + row for row in places]
    if not speakers:
        return None, None
    device = encoded.text_BND.device
    return torch.cat(speakers).float().to(device), torch.tensor(slots, device=device)


def _by_position(spans: Sequence[SpeechSpan], voices: Sequence[Voice]) -> list[Voice]:
    if len(voices) < len(spans):
        raise InputError(
            f"the prompt has {len(spans)} speech spans, but {_count(voices, 'voice')} given: "
            f"there is none for span {len(voices) + 1} ({_said(spans[len(voices)])}); give one voice per span, "
            "or name speakers and voices to let one voice speak several spans"
        )
    if len(voices) > len(spans):
        raise InputError(
            f"the prompt has {len(spans)} speech span{'s' if len(spans) > 1 else ''}, but {_count(voices, 'voice')} "
            f"given: there is no speech for voice {len(spans) + 1} ({voices[len(spans)].label})"
        )
    return list(voices)


def _by_name(spans: Sequence[SpeechSpan], voices: Sequence[Voice]) -> list[Voice]:
    by_name: dict[str, Voice] = {}
    for voice in voices:
        if _key(voice.name) in by_name:
            raise InputError(f"two voices have the name '{voice.name}'")
        by_name[_key(voice.name)] = voice
    for number, span in enumerate(spans, start=1):
        if not span.speaker:
            raise InputError(
                f"voices are given by name, but speech span {number} ({_said(span)}) has no speaker: "
                f"write 'Name: ' right before its <S>, or give voices without names"
            )
    written: dict[str, str] = {}
    for span in spans:
        written.setdefault(_key(span.speaker), span.speaker)
    speakers = list(written.values())
    if absent := [speaker for speaker in speakers if _key(speaker) not in by_name]:
        raise InputError(
            f"no voice for {_names(absent)}: the prompt has {_count(speakers, 'speaker')} ({_names(speakers)}), "
            f"but {_count(voices, 'voice')} given ({_names([str(voice.name) for voice in voices])})"
        )
    if idle := [str(voice.name) for voice in voices if _key(voice.name) not in written]:
        raise InputError(f"nobody in the prompt is called {_names(idle)}: its speakers are {_names(speakers)}")
    return [by_name[_key(span.speaker)] for span in spans]


def _vector(voice: Voice, encoder: TimbreEncoder, read: Callable[[Path, int], Tensor]) -> Tensor:
    if voice.vector is not None:
        if voice.vector.shape != (encoder.width,) or not torch.isfinite(voice.vector).all():
            raise InputError(f"voice {voice.label} must be {encoder.width} finite values")
        return voice.vector.float()
    if voice.unknown:
        return torch.zeros(encoder.width)
    samples = read(voice.path, encoder.sample_rate_hz) if voice.path is not None else voice.samples
    assert samples is not None
    try:
        return encoder.encode(samples)
    except InputError as error:
        raise InputError(f"voice {voice.label}: {error}") from error


def _key(name: str | None) -> str:
    """Names are the same whatever their case and white space."""
    return " ".join((name or "").split()).casefold()


def _count(things: Sequence[object] | Tensor, noun: str) -> str:
    """``1 voice is``, ``2 voices are``; speakers are only counted."""
    plural = len(things) != 1
    verb = "" if noun == "speaker" else " are" if plural else " is"
    return f"{len(things)} {noun}{'s' if plural else ''}{verb}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _said(span: SpeechSpan) -> str:
    words = span.words if len(span.words) <= _EXCERPT else span.words[:_EXCERPT] + "..."
    return f"'{words}'"
