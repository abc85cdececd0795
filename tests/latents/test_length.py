"""Lengths: the numbers of the released model and what does not fit."""

import pytest

from nava.latents.length import (
    audio_latents_of_frames,
    audio_latents_of_seconds,
    frames_of_latents,
    latents_of_frames,
    samples_of_audio_latents,
)
from nava.runtime.errors import InputError


@pytest.mark.parametrize(("latents", "frames", "audio"), [(1, 1, 2), (13, 49, 52), (37, 145, 152)])
def test_lengths_of_the_release(latents: int, frames: int, audio: int) -> None:
    assert frames_of_latents(latents) == frames
    assert latents_of_frames(frames) == latents
    assert audio_latents_of_frames(frames) == audio


def test_frames_and_latents_are_inverse() -> None:
    assert all(latents_of_frames(frames_of_latents(count)) == count for count in range(1, 50))


def test_audio_covers_the_picture_with_less_than_one_latent_to_spare() -> None:
    for frames in range(1, 300):
        spare = audio_latents_of_frames(frames) / 25 - frames / 24
        assert 0 <= spare < 1 / 25


@pytest.mark.parametrize(("seconds", "latents"), [(2.04, 51), (2.0, 50), (2.05, 52), (0.001, 1), (10.0, 250)])
def test_audio_only_length(seconds: float, latents: int) -> None:
    assert audio_latents_of_seconds(seconds) == latents


def test_samples_of_a_two_second_clip() -> None:
    assert samples_of_audio_latents(52, 16_000) == 33_280


@pytest.mark.parametrize("frames", [0, 2, 48, 50])
def test_frames_that_do_not_fit_are_refused_with_the_nearest_that_do(frames: int) -> None:
    with pytest.raises(InputError, match=f"got {frames}; use"):
        latents_of_frames(frames)


def test_the_suggestion_for_48_frames() -> None:
    with pytest.raises(InputError, match="use 45 or 49"):
        latents_of_frames(48)


def test_no_latents_are_no_clip() -> None:
    with pytest.raises(InputError, match="at least 1 latent frame, got 0"):
        frames_of_latents(0)
