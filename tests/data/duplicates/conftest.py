"""Clips and signatures to compare."""

import numpy as np
import pytest

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.embedding import Dct3dEmbedding
from nava.data.duplicates.signature import FRAMES, HASH_BITS, SOUND_BACKEND, Signature, unit_rows
from nava.data.duplicates.signature_stage import sign
from tests.data.curation.conftest import RATE_HZ, draw_flash

SAMPLES = 33_280


def draw_clip(**changes):
    """49 frames and as much sound as the model takes."""
    frames, audio = draw_flash(seconds=2.1, **changes)
    return frames[:49], np.pad(audio, (0, SAMPLES))[:SAMPLES]


def sign_clip(frames_THWC, audio):
    return sign(frames_THWC, audio, RATE_HZ, Dct3dEmbedding())


def random_signatures(count, seed=0, copies=0, dimensions=24, noise=0.1, backend="dct3d/2"):
    """Signatures that agree in all but their embeddings; the last `copies` are near-copies of random earlier ones."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for copy in range(count - copies, count):
        aside = rng.normal(size=dimensions)
        vectors[copy] = vectors[rng.integers(copy)] + noise * aside / np.linalg.norm(aside)
    hashes, sound = np.zeros((FRAMES, HASH_BITS), bool), np.zeros((4, 12), np.float32)
    return {
        f"clip-{number:04d}": Signature(backend, vector, hashes, sound)
        for number, vector in enumerate(unit_rows(vectors))
    }


@pytest.fixture
def config():
    return DuplicateConfig()


__all__ = ["SOUND_BACKEND", "draw_clip", "random_signatures", "sign_clip"]
