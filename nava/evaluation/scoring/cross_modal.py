"""Does the sound fit the text (CLAP score) and the picture (ImageBind score): cosines, under their protocols' names."""

from __future__ import annotations

import numpy as np

from nava.evaluation.scoring.cosine import cosine
from nava.evaluation.scoring.score import Score


def clap_score(audio_D: np.ndarray, text_D: np.ndarray) -> Score:
    """CS: cosine of CLAP's embeddings of the sound and its prompt, -1..1, unscaled (section 1.6)."""
    return cosine(audio_D, text_D, "CLAP embedding")


def imagebind_score(video_D: np.ndarray, audio_D: np.ndarray) -> Score:
    """IB: cosine of ImageBind's embeddings of picture and sound, -1..1; some papers print 100 times it (section 1.3).

    How the clip was cut into what the network sees is the protocol (`ib.official`, `ib.avbench`), not this formula.
    """
    return cosine(video_D, audio_D, "ImageBind embedding")
