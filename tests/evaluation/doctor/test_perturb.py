"""Perturbations do what their names say, by closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from nava.evaluation.doctor.perturb import PERTURB, SHIFT_S, Clip

RATE_HZ, FPS = 16_000, 25.0


@pytest.fixture
def clip() -> Clip:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (25, 64, 64, 3), dtype=np.uint8)
    sound = (0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
    return Clip(frames, sound, FPS, RATE_HZ, "one two")


@pytest.fixture
def other(clip: Clip) -> Clip:
    return replace(clip, frames_THWC=255 - clip.frames_THWC, samples_N=clip.samples_N[::-1].copy(), spoken_text="three")


@pytest.mark.parametrize("name", PERTURB)
def test_forms_stay_and_something_changes(name: str, clip: Clip, other: Clip) -> None:
    made = PERTURB[name](clip, other)
    assert made.frames_THWC.shape == clip.frames_THWC.shape
    assert made.frames_THWC.dtype == np.uint8
    assert made.samples_N.shape == clip.samples_N.shape
    assert made.samples_N.dtype == np.float32
    assert np.abs(made.samples_N).max() <= 1.0
    same = (
        np.array_equal(made.frames_THWC, clip.frames_THWC)
        and np.array_equal(made.samples_N, clip.samples_N)
        and made.spoken_text == clip.spoken_text
    )
    assert not same


def test_amounts_are_as_stated(clip: Clip, other: Clip) -> None:
    late = PERTURB["audio_shifted"](clip, other).samples_N
    lag = round(SHIFT_S * RATE_HZ)
    assert not late[:lag].any()
    assert np.array_equal(late[lag:], clip.samples_N[:-lag])
    noise = PERTURB["noise"](clip, other).samples_N - clip.samples_N
    ratio_db = 10 * np.log10(np.mean(clip.samples_N**2) / np.mean(noise**2))
    assert ratio_db == pytest.approx(0.0, abs=0.2)
    quiet = PERTURB["quieter"](clip, other).samples_N
    assert 20 * np.log10(np.abs(clip.samples_N).max() / np.abs(quiet).max()) == pytest.approx(12.0)
    frozen = PERTURB["frozen"](clip, other).frames_THWC
    assert (frozen == clip.frames_THWC[0]).all()
    assert not PERTURB["silence"](clip, other).samples_N.any()
    assert (np.abs(PERTURB["clipped"](clip, other).samples_N) == 1.0).mean() > 0.5
    blurred = PERTURB["blur"](clip, other).frames_THWC
    assert blurred.astype(float).std() < 0.5 * clip.frames_THWC.astype(float).std()
    flicker = PERTURB["flicker"](clip, other).frames_THWC
    assert np.array_equal(flicker[::2], clip.frames_THWC[::2])
    assert flicker[1::2].mean() < 0.65 * clip.frames_THWC[1::2].mean()
    assert PERTURB["text_swapped"](clip, other).spoken_text == "three"
    assert np.array_equal(PERTURB["sound_swapped"](clip, other).samples_N, other.samples_N)
    assert np.array_equal(PERTURB["first_frame_swapped"](clip, other).frames_THWC, other.frames_THWC)
