"""What kind of sound a clip has: speakers, singing, music, ambient sound, silence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nava.config.annotation import AnnotationConfig
from nava.config.speech import AudioTagConfig
from nava.data.speech.recognition import Recording
from nava.data.speech.tonality import measure_tonality

Samples = npt.NDArray[np.float32]

LEAST_SINGING_S = 0.4


class AudioTag(StrEnum):
    """The tags, in the order in which a record lists them."""

    SINGLE_SPEAKER = "single_speaker"
    MULTI_SPEAKER = "multi_speaker"
    SINGING = "singing"
    MUSIC = "music"
    AMBIENT = "ambient"
    SILENCE = "silence"


class AudioTagger(ABC):
    """Tells kinds of sound. Speakers are not its business: they are counted from the turns.

    Class attributes:
        proven: whether this code has ever run with what it is meant for: real weights, or no weights at all.
    """

    proven: ClassVar[bool] = False

    @property
    @abstractmethod
    def backend(self) -> str:
        """How the manifest names it, with `(unproven)` where it has not run for real."""

    @abstractmethod
    def kinds(self, recording: Recording, speakers: int, sung_s: float) -> set[AudioTag]:
        """Which of singing, music, ambient and silence a clip is. With speakers it may be none of them.

        Args:
            recording: the clip's sound.
            speakers: how many speak.
            sung_s: for how long a voice is heard that sings.

        Raises:
            EndpointError: this clip cannot be tagged; others may be.
            RunStoppedError: none can be.
        """


class RuleTagger(AudioTagger):
    """Rules over loudness and pitch: held notes of a voice are singing, notes in leaps are music, the rest is ambient.

    It knows one source at a time: music under speech, and chords, are beyond it. A bowed string with vibrato is called
    singing.
    """

    proven = True

    def __init__(self, silence_dbfs: float) -> None:
        self.silence_dbfs = silence_dbfs

    @property
    def backend(self) -> str:
        """See `AudioTagger.backend`."""
        return "rules.v1"

    def kinds(self, recording: Recording, speakers: int, sung_s: float) -> set[AudioTag]:
        """See `AudioTagger.kinds`."""
        if sung_s >= LEAST_SINGING_S:
            return {AudioTag.SINGING}
        if speakers:
            return set()
        if level_dbfs(recording.samples_N) < self.silence_dbfs:
            return {AudioTag.SILENCE}
        tonality = measure_tonality(recording.samples_N)
        if tonality.is_sung:
            return {AudioTag.SINGING}
        return {AudioTag.MUSIC if tonality.is_tune else AudioTag.AMBIENT}


def build_tagger(config: AudioTagConfig, annotation: AnnotationConfig) -> AudioTagger:
    """The tagger that the settings name, loaded.

    Args:
        config: section `speech.audio_tags`.
        annotation: where answers of endpoints are kept, and their budget.

    Raises:
        InputError: a file of it is missing, damaged or another, or there is no key for its endpoint.
    """
    if config.backend == "endpoint":
        from nava.data.speech.tagging_endpoint import make_endpoint_tagger

        return make_endpoint_tagger(config.endpoint, annotation)
    if config.backend == "yamnet":
        from nava.data.speech.yamnet import YamnetTagger

        return YamnetTagger(config)
    return RuleTagger(config.silence_dbfs)


def tag_list(kinds: Iterable[AudioTag], speakers: int) -> list[str]:
    """The column `audio_tags`: `single_speaker` exactly where one speaks; silence only where nothing else is."""
    tags = set(kinds)
    if speakers:
        tags.add(AudioTag.SINGLE_SPEAKER if speakers == 1 else AudioTag.MULTI_SPEAKER)
    if len(tags) > 1:
        tags.discard(AudioTag.SILENCE)
    return [str(tag) for tag in AudioTag if tag in tags]


def level_dbfs(samples_N: Samples) -> float:
    """Root mean square in dB of full scale; -inf for nothing at all."""
    rms = float(np.sqrt(np.mean(samples_N.astype(np.float64) ** 2))) if len(samples_N) else 0.0
    return 20.0 * float(np.log10(rms)) if rms else -np.inf
