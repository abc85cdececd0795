"""Whose voice it is: embeddings of speakers."""

from __future__ import annotations

from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError


class MelStatisticsVoice:
    """Pitch and spectral shape of a voice, by the timbre encoder that needs no weights."""

    version = 1
    weights_sha256 = None

    def __init__(self) -> None:
        from nava.conditioning.mel_statistics import MelStatisticsEncoder

        self._encoder = MelStatisticsEncoder()

    def extract(self, clip: ClipFile) -> Features:
        """`embedding_D` [192]."""
        import torch

        from nava.runtime.errors import InputError

        try:
            voice_D = self._encoder.encode(torch.from_numpy(clip.samples_at(SPEECH_RATE_HZ)))
        except InputError as error:
            raise UnmeasurableError(str(error)) from error
        return Features(arrays={"embedding_D": voice_D.numpy()})
