"""Reference voices: the sound that a timbre encoder takes, and what it refuses."""

import torch
from torch import Tensor

from nava.runtime.errors import InputError

SAMPLE_RATE_HZ = 16_000
# Below a second there is hardly more than a word; the released encoder was trained on seconds of speech.
MIN_S = 1.0
# What is beyond half a minute does not count, as in the release.
MAX_S = 30.0
SILENCE_RMS = 1e-4


def reference_samples(samples: Tensor) -> Tensor:
    """The part of a recording that counts: mono, float32, the first 30 s.

    Args:
        samples: at 16 kHz, [N], or [C, N] whose channels are averaged.

    Raises:
        InputError: shorter than 1 s, silent, not finite, or of another shape.
    """
    if samples.dim() not in (1, 2) or not samples.is_floating_point():
        raise InputError(f"a reference voice is float samples [N] or [C, N], got {samples.dtype} {list(samples.shape)}")
    mono_N = samples.float() if samples.dim() == 1 else samples.float().mean(dim=0)
    mono_N = mono_N[: int(MAX_S * SAMPLE_RATE_HZ)]
    if len(mono_N) < MIN_S * SAMPLE_RATE_HZ:
        raise InputError(
            f"the reference voice is {len(mono_N) / SAMPLE_RATE_HZ:.2f} s long; give at least {MIN_S:.0f} s of speech"
        )
    if not torch.isfinite(mono_N).all():
        raise InputError("the reference voice has samples that are not finite")
    if mono_N.square().mean().sqrt() < SILENCE_RMS:
        raise InputError("the reference voice is silent")
    return mono_N
