"""Sounds as vectors by PaSST, for Fréchet distances as av-benchmark has them (section 1.6 of the reference)."""

from __future__ import annotations

import numpy as np

from nava.evaluation.backends.avbench_sound import LONGEST_S, beginning
from nava.evaluation.backends.passt import Passt
from nava.evaluation.backends.passt_input import SAMPLE_RATE_HZ, log_mel
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features


class PasstEmbedding(Passt):
    """What the classifier is asked about, of the first 10 s of a clip, as loud as it is, filled up with zeros.

    Arguments and errors as of `Passt`.
    """

    name = "passt_embedding"

    def extract(self, clip: ClipFile) -> Features:
        """`embedding_D` [768]."""
        import torch

        samples_N = beginning(clip, SAMPLE_RATE_HZ)
        samples_N = np.pad(samples_N, (0, LONGEST_S * SAMPLE_RATE_HZ - len(samples_N)))
        with torch.inference_mode():
            embedding_D = self._network.embedding(torch.from_numpy(log_mel(samples_N)).to(self._device))
        return Features(arrays={"embedding_D": embedding_D.cpu().numpy()})
