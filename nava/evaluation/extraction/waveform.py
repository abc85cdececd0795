"""Loudness, clipping and silence of a clip's sound."""

from __future__ import annotations

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, scored


class Waveform:
    """Needs no weights."""

    version = 1
    weights_sha256 = None

    def extract(self, clip: ClipFile) -> Features:
        """`loudness_lufs`, `clipping_share`, `silence_share`, `seconds`."""
        from nava.evaluation.scoring.sound_quality import clipping_share, integrated_loudness, silence_share

        samples_N, rate_hz = clip.own_samples_N, clip.sample_rate
        scores = scored(
            loudness_lufs=integrated_loudness(samples_N, rate_hz),
            clipping_share=clipping_share(samples_N),
            silence_share=silence_share(samples_N, rate_hz),
        )
        return Features({**scores, "seconds": len(samples_N) / rate_hz})
