import numpy as np
import pytest

from nava.evaluation.scoring.av_alignment import (
    av_align,
    block_motion,
    correlation_offset,
    local_maxima_s,
    onset_synchrony,
)
from nava.runtime.errors import InputError

FPS = 25.0


def pulses(n, *frames):
    """A track with a peak of one frame at each of these."""
    track = np.zeros(n)
    track[list(frames)] = 1.0
    return track


def test_local_maxima_are_strict_and_inside():
    track = np.array([5.0, 1, 3, 3, 1, 4, 2, 9])
    np.testing.assert_allclose(local_maxima_s(track, FPS), [5 / FPS])
    assert local_maxima_s(np.ones(2), FPS).size == 0


@pytest.mark.parametrize(
    ("heard", "seen", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 1.0),
        ([1.0, 2.0], [1.03, 2.5], 1 / 3),
        ([1.0], [1.0, 2.0, 3.0], 1 / 3),
        ([1.0, 1.02], [1.01], 1 / 2),  # one to one
        ([1.0], [1.04], 0.0),  # a whole frame apart
        ([0.12], [0.16], 0.0),
        ([0.16], [0.12], 0.0),
        ([1.0], [], 0.0),
    ],
)
def test_av_align_closed_forms(heard, seen, expected):
    assert av_align(np.array(heard), np.array(seen), FPS).value == pytest.approx(expected)
    assert av_align(np.array(seen), np.array(heard), FPS).value == pytest.approx(expected)


def test_av_align_of_a_still_silent_clip_is_undefined():
    score = av_align(np.empty(0), np.empty(0), FPS)
    assert score.value is None
    assert "neither" in score.reason


def test_onset_synchrony():
    track = pulses(60, 10, 30, 50)
    assert onset_synchrony(track, 3 * track, FPS).value == 1.0
    assert onset_synchrony(track, np.roll(track, 2), FPS).value == 1.0  # within 80 ms
    assert onset_synchrony(track, np.roll(track, 3), FPS).value == 0.0
    assert onset_synchrony(track, pulses(60, 10), FPS).value == pytest.approx(0.5)
    assert onset_synchrony(np.ones(60), np.ones(60), FPS).value is None


def test_block_motion_is_the_change_of_each_part():
    video = np.zeros((3, 16, 24, 3), np.uint8)
    video[1, :2, 3:6] = 40  # the block of row 0, column 1
    video[2] = video[1]
    motion = block_motion(video, blocks=8)
    assert motion.shape == (3, 64)
    assert motion[1, 1] == motion[0, 1] == 40
    assert motion[1].sum() == 40
    assert motion[2].sum() == 0


def test_blocks_cover_sizes_that_do_not_divide():
    video = np.zeros((2, 17, 9, 3), np.uint8)
    video[1] = (30, 60, 90)
    np.testing.assert_allclose(block_motion(video, blocks=8), 60)


def test_motion_does_not_wrap_around():
    video = np.zeros((2, 8, 8, 3), np.uint8)
    video[0] = 200
    np.testing.assert_allclose(block_motion(video), 200)


@pytest.mark.parametrize("lag", [-15, -3, 0, 4, 15])
def test_the_offset_of_shifted_sound_is_found(lag):
    noise = np.random.default_rng(0).normal(size=200)
    motion, energy = noise[50:150, None] * [1.0, 2.0], 3 * noise[50 - lag : 150 - lag] + 7
    found = correlation_offset(motion, energy, FPS)
    assert found.offset_s.value == pytest.approx(lag / FPS)  # late sound is positive
    assert found.correlation.value == pytest.approx(1.0)
    assert found.prominence.value > 0.7


def test_blocks_where_nothing_moves_do_not_count():
    draw = np.random.default_rng(1)
    energy = draw.normal(size=100)
    flat_noise = 1e-3 * draw.normal(size=(100, 63))
    found = correlation_offset(np.column_stack([np.roll(energy, -2), flat_noise, np.full(100, 5.0)]), energy, FPS)
    assert found.offset_s.value == pytest.approx(2 / FPS)
    assert found.correlation.value > 0.9


def test_unrelated_tracks_are_not_prominent():
    draw = np.random.default_rng(2)
    found = correlation_offset(draw.normal(size=(125, 4)), draw.normal(size=125), FPS)
    assert found.prominence.value < 0.3


@pytest.mark.parametrize(
    ("motion", "energy", "reason"),
    [
        (np.ones((60, 2)), np.arange(60.0), "motion is constant"),
        (np.arange(120.0).reshape(60, 2), np.ones(60), "energy is constant"),
        (np.arange(88.0).reshape(44, 2), np.arange(44.0), "need 45 frames, the clip has 44"),
    ],
)
def test_no_offset_is_a_reason(motion, energy, reason):
    found = correlation_offset(motion, energy, FPS)
    for score in (found.offset_s, found.correlation, found.prominence):
        assert score.value is None
        assert reason in score.reason


def test_unusable_tracks_are_refused():
    with pytest.raises(InputError, match="60 frames, the sound's energy 59"):
        correlation_offset(np.ones((60, 2)), np.ones(59), FPS)
    with pytest.raises(InputError, match="uint8"):
        block_motion(np.zeros((3, 16, 16, 3)))
    for shape in ((1, 16, 16, 3), (3, 7, 16, 3)):
        with pytest.raises(InputError, match="blocks"):
            block_motion(np.zeros(shape, np.uint8))
