"""KL divergence between the sound classes of two files (section 1.6 of the evaluation reference)."""

from __future__ import annotations

import numpy as np

from nava.evaluation.scoring.score import Score, checked_array
from nava.runtime.errors import InputError

REFERENCE_FLOOR = 1e-6  # added to the reference's probability, as published


def class_divergence(generated_WK: np.ndarray, reference_VK: np.ndarray) -> Score:
    """sum of p_gen log(p_gen / (p_ref + 1e-6)), nats, from a classifier's logits per window.

    Logits are averaged over windows before the softmax. The direction is generated from reference, so a class that is
    only in the generated sound costs much. Verse-Bench's code, and so the metric `kl.passt`, gives the reference in the
    place of the generated sound. The floor makes equal files score a little below 0, by up to 1e-6 per class.

    Args:
        generated_WK: logits of K classes for each window of the generated sound.
        reference_VK: those of the reference; it may have another number of windows.
    """
    generated_WK = checked_array(generated_WK, "logits of the generated sound", "WK")
    reference_VK = checked_array(reference_VK, "logits of the reference sound", "WK")
    if generated_WK.shape[1] != reference_VK.shape[1]:
        raise InputError(f"logits have {generated_WK.shape[1]} and {reference_VK.shape[1]} classes: of one classifier?")
    log_generated_K = _log_softmax(generated_WK.mean(axis=0))
    reference_K = np.exp(_log_softmax(reference_VK.mean(axis=0)))
    # p log p is 0 where p underflows: the product of 0 with a finite logarithm.
    return Score(float(np.exp(log_generated_K) @ (log_generated_K - np.log(reference_K + REFERENCE_FLOOR))))


def _log_softmax(logits_K: np.ndarray) -> np.ndarray:
    shifted_K = logits_K - logits_K.max()
    return shifted_K - np.log(np.exp(shifted_K).sum())
