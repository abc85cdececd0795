"""What sound passes as a reference voice."""

import pytest
import torch

from nava.conditioning.reference_voice import SAMPLE_RATE_HZ, reference_samples
from nava.runtime.errors import InputError

SOUND = torch.sin(torch.arange(40 * SAMPLE_RATE_HZ) * 0.05) * 0.5


def test_the_first_half_minute_counts() -> None:
    assert torch.equal(reference_samples(SOUND), SOUND[: 30 * SAMPLE_RATE_HZ])
    assert torch.equal(reference_samples(SOUND[:SAMPLE_RATE_HZ]), SOUND[:SAMPLE_RATE_HZ])


def test_channels_are_averaged() -> None:
    left, right = SOUND[:20_000], SOUND[100:20_100]
    assert torch.allclose(reference_samples(torch.stack([left, right])), (left + right) / 2)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (SOUND[: SAMPLE_RATE_HZ - 1], r"is 1\.00 s long; give at least 1 s of speech"),
        (SOUND[:1600], r"is 0\.10 s long; give at least 1 s of speech"),
        (SOUND[:0], r"is 0\.00 s long"),
        (torch.zeros(20_000), "is silent"),
        (torch.full((20_000,), float("nan")), "samples that are not finite"),
        (torch.ones(20_000, dtype=torch.int16), r"float samples \[N\] or \[C, N\], got torch.int16 \[20000\]"),
        (torch.ones(1, 2, 20_000), r"got torch.float32 \[1, 2, 20000\]"),
    ],
)
def test_what_is_refused(samples: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        reference_samples(samples)
