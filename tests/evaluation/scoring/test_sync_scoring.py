import numpy as np
import pytest

from nava.evaluation.scoring.sync_scoring import (
    audio_windows,
    shift_distances,
    sync_score,
    video_windows,
    window_count,
)
from nava.runtime.errors import InputError
from tests.evaluation.scoring.sync_cases import DIMENSIONS, LENGTH, WINDOWS, features


@pytest.mark.parametrize(("roll", "offset", "distance"), [(0, 0, 0.0), (3, -3, 0.25), (-4, 4, 1 / 3)])
def test_rolled_features_have_the_offset_and_the_distance_to_the_padding(roll, offset, distance):
    score = sync_score(*features(roll))
    assert score.offset_frames == offset
    assert score.sync_d == pytest.approx(distance, abs=1e-4)  # eps makes equal features 3.2e-5 apart


def test_sync_c_of_equal_features_is_that_of_unrelated_ones_with_a_share_of_padding():
    # Unrelated directions of length 5 are 5 sqrt 2 apart; at the median shift, 8 of 60 windows meet padding.
    expected = (52 * LENGTH * np.sqrt(2) + 8 * LENGTH) / WINDOWS
    assert sync_score(*features()).sync_c == pytest.approx(expected, abs=0.02)
    assert expected == pytest.approx(6.8, abs=0.02)


def test_the_distance_is_torchs():
    import torch

    video, audio = features(2, seed=3)
    padded = torch.nn.functional.pad(torch.from_numpy(audio), (0, 0, 15, 15))
    expected = torch.stack(
        [torch.nn.functional.pairwise_distance(torch.from_numpy(video), padded[k : k + WINDOWS]) for k in range(31)], 1
    )
    np.testing.assert_allclose(shift_distances(video, audio), expected.numpy(), rtol=1e-12)


def test_equal_vectors_are_apart_by_torchs_epsilon():
    ones = np.ones((40, DIMENSIONS))
    assert sync_score(ones, ones).sync_d == pytest.approx(1e-6 * np.sqrt(DIMENSIONS), rel=1e-6)


def test_later_sound_has_a_negative_offset():
    video, _ = features()
    late = np.vstack([np.zeros((2, DIMENSIONS)), video[:-2]])  # what was seen at i is heard at i + 2
    assert sync_score(video, late).offset_frames == -2


@pytest.mark.parametrize(
    ("video", "audio", "message"),
    [
        (np.ones((5, 4)), np.ones((6, 4)), "differ in shape"),
        (np.ones((0, 4)), np.ones((0, 4)), "non-empty"),
        (np.full((3, 4), np.nan), np.ones((3, 4)), "not finite"),
    ],
)
def test_unusable_features_are_refused(video, audio, message):
    with pytest.raises(InputError, match=message):
        sync_score(video, audio)


@pytest.mark.parametrize(
    ("frames", "samples", "expected"),
    [(100, 64_000, 95), (100, 63_999, 94), (99, 64_000, 94), (6, 10**6, 1), (125, 80_000, 120)],
)
def test_window_count(frames, samples, expected):
    assert window_count(frames, samples) == expected


@pytest.mark.parametrize(("frames", "samples"), [(5, 64_000), (100, 3839), (0, 0), (-1, 100)])
def test_too_short_a_track_is_refused(frames, samples):
    with pytest.raises(InputError):
        window_count(frames, samples)


def test_windows_start_at_the_same_time():
    frames = np.zeros((10, 2, 3, 3)) + np.arange(10)[:, None, None, None]
    frames[..., 1] += 0.5
    columns = np.arange(40)[:, None] + np.arange(13) / 100
    seen, heard = video_windows(frames, 5), audio_windows(columns, 5)
    assert seen.shape == (5, 3, 5, 2, 3)
    assert heard.shape == (5, 1, 20 - 7, 20)
    np.testing.assert_array_equal(seen[2, 0, :, 1, 1], [2, 3, 4, 5, 6])
    assert (seen[:, 1] - seen[:, 0] == 0.5).all()
    np.testing.assert_allclose(heard[2, 0, 0], np.arange(8, 28))
    np.testing.assert_allclose(heard[2, 0, 5], np.arange(8, 28) + 0.05)


def test_windows_that_do_not_fit_are_refused():
    assert len(audio_windows(np.zeros((36, 13)), 5)) == 5
    with pytest.raises(InputError, match="5 windows need 36 MFCC columns, there are 35"):
        audio_windows(np.zeros((35, 13)), 5)
    with pytest.raises(InputError, match="frames"):
        video_windows(np.zeros((9, 4, 4, 3)), 6)
    with pytest.raises(InputError, match="coefficients"):
        audio_windows(np.zeros(100), 1)
    with pytest.raises(InputError, match="T, H, W, 3"):
        video_windows(np.zeros((9, 4, 4)), 1)
