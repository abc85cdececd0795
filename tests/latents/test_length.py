"""Lengths: the numbers of the released model and what does not fit."""

import math

import pytest

from nava.latents.length import (
    audio_latents_of_frames,
    audio_latents_of_seconds,
    frames_of_latents,
    latents_of_frames,
    latents_of_seconds,
)
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


@pytest.mark.parametrize(("latents", "frames", "audio"), [(1, 1, 2), (31, 121, 127), (37, 145, 152), (61, 241, 252)])
def test_audio_covers_the_picture(latents: int, frames: int, audio: int) -> None:
    """The released code's own numbers."""
    assert frames_of_latents(latents) == frames
    assert latents_of_frames(frames) == latents
    assert audio_latents_of_frames(frames) == audio


def test_audio_of_frames_is_exact() -> None:
    """24 frames are exactly 25 latents: no rounding of a product of floats may make it 26."""
    assert [audio_latents_of_frames(24 * seconds) for seconds in (1, 2, 3, 10, 41)] == [25, 50, 75, 250, 1025]
    assert audio_latents_of_frames(1) == 2


@pytest.mark.parametrize(
    ("seconds", "latents", "audio"),
    [
        (2, 13, 50),
        (5, 31, 125),
        (6, 37, 150),
        (10, 61, 250),
        (2.5, 16, 63),
        (5.04, 31, 126),
        (0.01, 1, 1),
        (1.16, 8, 29),
    ],
)
def test_lengths_of_seconds(seconds: float, latents: int, audio: int) -> None:
    assert latents_of_seconds(seconds) == latents
    assert audio_latents_of_seconds(seconds) == audio


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_no_time_is_refused(seconds: float) -> None:
    for rule in (latents_of_seconds, audio_latents_of_seconds):
        with pytest.raises(InputError, match="lasts longer than 0 s"):
            rule(seconds)


def test_no_frames_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 frame, got 0"):
        audio_latents_of_frames(0)
    with pytest.raises(InputError, match="at least 1 latent frame, got 0"):
        frames_of_latents(0)
