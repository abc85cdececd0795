"""Lengths: the numbers of the released model and what does not fit."""

import pytest

from nava.latents.length import latents_of_frames
from nava.runtime.errors import InputError


@pytest.mark.parametrize(("latents", "frames"), [(1, 1), (13, 49), (37, 145)])
def test_lengths_of_the_release(latents: int, frames: int) -> None:
    assert latents_of_frames(frames) == latents


def test_every_number_of_latents_has_one_number_of_frames() -> None:
    assert [latents_of_frames(4 * count - 3) for count in range(1, 50)] == list(range(1, 50))


@pytest.mark.parametrize("frames", [0, 2, 48, 50])
def test_frames_that_do_not_fit_are_refused_with_the_nearest_that_do(frames: int) -> None:
    with pytest.raises(InputError, match=f"got {frames}; use"):
        latents_of_frames(frames)


def test_the_suggestion_for_48_frames() -> None:
    with pytest.raises(InputError, match="use 45 or 49"):
        latents_of_frames(48)
