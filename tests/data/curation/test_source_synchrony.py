"""Offset of sound against picture by block correlation."""

import numpy as np
import pytest

from nava.config.curation import FilterConfig
from nava.data.curation.synchrony import SynchronyStage, onset_strength
from nava.data.curation.windows import Window
from tests.data.curation.conftest import RATE_HZ, draw_flash

MIN_CONFIDENCE = FilterConfig().min_av_confidence


@pytest.fixture
def stage():
    return SynchronyStage(fps=24, max_lag_s=0.8)


def clip(**changes):
    frames, audio = draw_flash(seconds=2.1, **changes)
    return Window(0, 0.0, 49 / 24, frames[:49], np.pad(audio, (0, 33_280))[:33_280])


def score(stage, windows):
    return stage.process([stage.curve(window, RATE_HZ) for window in windows])


@pytest.mark.parametrize("late_s", [-0.5, -0.25, 0.0, 0.25, 0.4])
def test_the_offset_is_found_to_a_frame(stage, late_s):
    found = score(stage, [clip(seed=seed, late_s=late_s) for seed in range(4)])
    assert found.offset_s == pytest.approx(late_s, abs=1 / 24)
    assert found.confidence >= MIN_CONFIDENCE


def test_sound_that_has_nothing_to_do_with_the_picture_gives_no_confidence(stage):
    mixed = []
    for seed in range(8):
        seen, heard = clip(seed=seed), clip(seed=seed + 100)
        mixed.append(Window(0, 0.0, 49 / 24, seen.frames_THWC, heard.audio))
    assert score(stage, mixed).confidence < MIN_CONFIDENCE


def test_silence_steady_tones_and_still_pictures_are_skipped(stage):
    window = clip()
    steady = 0.3 * np.sin(2 * np.pi * 500 * np.arange(33_280) / RATE_HZ).astype(np.float32)
    frozen = np.repeat(window.frames_THWC[:1], 49, axis=0)
    for frames, audio in (
        (window.frames_THWC, np.zeros_like(steady)),
        (window.frames_THWC, steady),
        (frozen, window.audio),
    ):
        assert stage.curve(Window(0, 0.0, 2.0, frames, audio), RATE_HZ) is None
    assert stage.process([None, None]) is None


def test_a_regular_beat_is_skipped_because_a_period_looks_like_no_shift(stage):
    assert stage.curve(clip(events=np.arange(0.2, 2.1, 0.25)), RATE_HZ) is None


def test_onsets_are_where_sound_begins():
    audio = np.zeros(33_280, np.float32)
    audio[RATE_HZ : RATE_HZ + 3000] = 0.5
    onset = onset_strength(audio, RATE_HZ, 24, 49)
    assert len(onset) == 49
    assert int(np.argmax(onset)) in (24, 25)


def test_sound_that_runs_from_the_start_has_no_onset_there():
    audio = np.zeros(33_280, np.float32)
    audio[:4000] = 0.5
    assert onset_strength(audio, RATE_HZ, 24, 49) is None
