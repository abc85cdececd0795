"""Words out of sound: the interface of speech recognisers, and the spans that their words become."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nava.config.speech import RecognitionConfig
from nava.data.speech.speaker_turns import Turn
from nava.data.speech.transcript import Utterance, Word

SIDECAR, NONE = "sidecar", "none"
LEAST_SPAN_S = 0.02  # recognisers give some words no length at all


@dataclass(frozen=True)
class Recording:
    """A clip's sound: mono float32 samples at 16 kHz, and the WAV file they come from."""

    samples_N: npt.NDArray[np.float32]  # noqa: N815
    path: Path


class Recogniser(ABC):
    """A speech recogniser with the times of words.

    Class attributes:
        proven: whether this code has ever run on a real model.
    """

    proven: ClassVar[bool] = False

    @property
    @abstractmethod
    def backend(self) -> str:
        """How the manifest names it, with `(unproven)` where it has not run for real."""

    @abstractmethod
    def words(self, recording: Recording) -> list[Word]:
        """The words of a recording in which speech was heard, on its own clock.

        Raises:
            EndpointError: this recording was not recognised; others may be.
            NavaError: none can be.
        """


class NoRecogniser(Recogniser):
    """Recognises nothing, and says so."""

    proven = True

    @property
    def backend(self) -> str:
        """See `Recogniser.backend`."""
        return NONE

    def words(self, recording: Recording) -> list[Word]:
        """See `Recogniser.words`."""
        return []


def build_recogniser(config: RecognitionConfig) -> Recogniser:
    """The recogniser that the settings name, loaded.

    Raises:
        InputError: its model, key or package is missing.
    """
    if config.backend == "faster_whisper":
        from nava.data.speech.whisper import FasterWhisper

        return FasterWhisper(config)
    if config.backend == "endpoint":
        from nava.data.speech.transcription_endpoint import TranscriptionEndpoint

        return TranscriptionEndpoint(config)
    return NoRecogniser()


def utterances_of(words: Sequence[Word], turns: Sequence[Turn]) -> list[Utterance]:
    """Words with the speaker whose turn is nearest to their middle; a new turn begins a new utterance."""
    owned = [(_nearest(turns, (word.t0_s + word.t1_s) / 2), word) for word in sorted(words, key=lambda one: one.t0_s)]
    return [
        Utterance(turn.speaker if turn else "S1", tuple(word for _, word in group))
        for turn, group in groupby(owned, key=lambda pair: pair[0])
    ]


def name_speakers(utterances: Sequence[Utterance], turns: Sequence[Turn]) -> list[Utterance]:
    """Give utterances of unnamed speakers to the speakers of the turns."""
    named: list[Utterance] = []
    for utterance in utterances:
        named += [utterance] if utterance.speaker else utterances_of(utterance.words, turns)
    return named


def spans_of(utterances: Sequence[Utterance], t0_s: float, t1_s: float) -> list[dict[str, Any]]:
    """The column `speech`: what is said between two times, on the clock that starts at the first.

    A word belongs where its middle lies; its span is cut to the clip, and lasts at least 20 ms.
    """
    spans, length_s = [], t1_s - t0_s
    for utterance in utterances:
        if (part := utterance.between(t0_s, t1_s)) is not None:
            start_s = min(max(part.words[0].t0_s - t0_s, 0.0), length_s - LEAST_SPAN_S)
            stop_s = max(min(max(word.t1_s for word in part.words) - t0_s, length_s), start_s + LEAST_SPAN_S)
            spans.append({"speaker": part.speaker, "t0_s": start_s, "t1_s": stop_s, "text": part.text})
    return sorted(spans, key=lambda span: (span["t0_s"], span["t1_s"], span["speaker"]))


def _nearest(turns: Sequence[Turn], time_s: float) -> Turn | None:
    return min(turns, key=lambda turn: max(turn.t0_s - time_s, time_s - turn.t1_s, 0.0), default=None)
