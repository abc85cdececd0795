"""Which of the stretches where a voice is heard are speech: voice activity hears singing and some music as speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nava.data.speech.tonality import measure_tonality
from nava.data.speech.voice_activity import SpeechSegment

Samples = npt.NDArray[np.float32]

_LEAST_JUDGED_S = 0.4  # a shorter stretch has too few notes to tell


@dataclass(frozen=True)
class Voices:
    """Stretches in which somebody speaks, and for how long somebody sings."""

    spoken: tuple[SpeechSegment, ...]
    sung_s: float


def tell_speech(samples_N: Samples, segments: Sequence[SpeechSegment]) -> Voices:
    """Leave out of a clip's voiced stretches what is sung or played: all of them where the whole clip is held notes.

    Args:
        samples_N: the clip, mono at 16 kHz.
        segments: where a voice is heard.
    """
    if not segments:
        return Voices((), 0.0)
    whole = measure_tonality(samples_N)
    if whole.is_held:
        return Voices((), sum(segment.duration_s for segment in segments) if whole.is_sung else 0.0)
    spoken, sung_s = [], 0.0
    for segment in segments:
        tonality = measure_tonality(samples_N[segment.slice]) if segment.duration_s >= _LEAST_JUDGED_S else None
        if tonality is None or not tonality.is_held:
            spoken.append(segment)
        elif tonality.is_sung:
            sung_s += segment.duration_s
    return Voices(tuple(spoken), sung_s)
