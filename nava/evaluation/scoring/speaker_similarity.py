"""SIM of Seed-TTS: does the generated voice sound like the prompt's (section 1.8 of the evaluation reference)."""

from __future__ import annotations

import numpy as np

from nava.evaluation.scoring.cosine import cosine
from nava.evaluation.scoring.score import Score


def speaker_similarity(generated_D: np.ndarray, prompt_D: np.ndarray) -> Score:
    """SIM-o: cosine of the speaker embeddings of the generated speech and of the original prompt, -1..1.

    Numbers of different networks do not compare: the network belongs to the protocol id. A set's SIM is the mean over
    its items (`score.mean_score`); papers print it to 3 decimals or as percent.
    """
    return cosine(generated_D, prompt_D, "speaker embedding")
