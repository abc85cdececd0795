"""Latents of another model are refused by the setting that differs."""

from dataclasses import replace

import pytest

from nava.runtime.errors import InputError
from nava.training.latents_fit import require_fit
from tests.training.latents_in_memory import TINY_MODEL, LatentsInMemory


def test_latents_of_the_model_are_fine() -> None:
    require_fit(LatentsInMemory(), TINY_MODEL)
    # Rows that the text encoder leaves are filled up.
    require_fit(LatentsInMemory(), replace(TINY_MODEL, text_len=9))


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("video_channels", 5, 4), ("audio_channels", 5, 6), ("text_dim", 8, 5), ("text_len", 2, 3)],
)
def test_each_size_is_named(name: str, value: int, found: int) -> None:
    with pytest.raises(InputError, match=rf"set model\.{name}={found}"):
        require_fit(LatentsInMemory(), replace(TINY_MODEL, **{name: value}))
