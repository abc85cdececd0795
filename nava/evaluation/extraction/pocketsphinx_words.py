"""What is said, by PocketSphinx and the English model inside its package: an offline stand-in with a high floor.

On clear synthetic speech about four of five words are wrong (evaluation.md 2.2), so it tells speech from noise and one
sentence from another, and no more.
"""

from __future__ import annotations

import numpy as np

from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features

PEAK = 0.5


class Pocketsphinx:
    """The recogniser, loaded."""

    version = 1
    weights_sha256 = None

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._new = lambda: Decoder(samprate=SPEECH_RATE_HZ, loglevel="FATAL")

    def extract(self, clip: ClipFile) -> Features:
        """`text`, empty if nothing was understood."""
        samples_N = clip.samples_at(SPEECH_RATE_HZ)
        peak = float(np.abs(samples_N).max())
        if peak > 0:
            # Its front end adapts to loudness slowly.
            samples_N = samples_N * (PEAK / peak)
        # A new one for each clip: what it has adapted to in one must not change the next.
        decoder = self._new()
        decoder.start_utt()
        decoder.process_raw((samples_N * 32767).astype(np.int16).tobytes(), False, True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return Features({"text": hypothesis.hypstr if hypothesis else ""})
