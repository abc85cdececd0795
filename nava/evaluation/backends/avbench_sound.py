"""What av-benchmark hears of a clip before it takes embeddings for Fréchet distances (section 1.6)."""

from __future__ import annotations

import numpy as np

from nava.evaluation.extraction.clip_file import ClipFile

# There the length is an argument, 8 s unless given; PaSST takes no more than this.
LONGEST_S = 10


def beginning(clip: ClipFile, rate_hz: int) -> np.ndarray:
    """The first 10 s of a clip's sound, or less, float32 [N], without the mean of all of it; as loud as it is."""
    samples_N = clip.samples_at(rate_hz)
    return (samples_N - samples_N.mean())[: LONGEST_S * rate_hz].astype(np.float32)
