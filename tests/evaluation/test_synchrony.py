import numpy as np
import pytest

from nava.evaluation.statistics import bootstrap_mean
from nava.evaluation.synchrony import correlation, correlation_scores, onset_f1, onset_scores, onsets

FPS, FRAMES = 24.0, 49


def events(rng):
    """Event frames .3 to .8 s apart, as in the flash family."""
    times, frame = [], rng.integers(1, 10)
    while frame < FRAMES:
        times.append(int(frame))
        frame += rng.integers(7, 20)
    return times


def decay(frames, rate, shift=0):
    """A track that jumps to 1 at each event and decays with `rate` per second."""
    track = np.zeros(FRAMES)
    for start in frames:
        t = np.arange(FRAMES) - (start + shift)
        track = np.where(t >= 0, np.exp(-rate * np.clip(t, 0, None) / FPS), track)
    return track


def pairs(n, shift=0, seed=0):
    """n clips: picture and sound of the same events, the sound `shift` frames late."""
    rng = np.random.default_rng(seed)
    drawn = [events(rng) for _ in range(n)]
    return np.stack([decay(f, 6) for f in drawn]), np.stack([decay(f, 4.5, shift) for f in drawn])


def test_equal_tracks_correlate_fully_and_opposite_ones_negatively():
    track = decay([5, 20, 33], 6)
    assert correlation(track, 3 * track + 1) == pytest.approx(1.0)
    assert correlation(track, -track, max_lag=0) == pytest.approx(-1.0)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_shift_of_one_frame_is_forgiven_either_way(shift):
    track = np.random.default_rng(1).normal(size=FRAMES)
    assert correlation(track, np.roll(track, shift)) == pytest.approx(1.0)
    assert correlation(track, np.roll(track, shift), max_lag=0) < 0.5


def test_a_larger_shift_is_not_forgiven():
    track = np.random.default_rng(1).normal(size=FRAMES)
    assert correlation(track, np.roll(track, 4)) < 0.5


@pytest.mark.parametrize("constant", [np.zeros(FRAMES), np.full(FRAMES, 0.1)])
def test_a_constant_track_has_no_correlation_rather_than_zero(constant):
    assert np.isnan(correlation(constant, decay([5], 6)))


def test_tracks_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shape"):
        correlation(np.zeros(5), np.zeros(6))


def test_onsets_are_the_event_times():
    np.testing.assert_allclose(onsets(decay([3, 14, 40], 6), FPS), np.array([3, 14, 40]) / FPS)


def test_events_on_the_first_and_last_frame_are_found():
    np.testing.assert_allclose(onsets(decay([0, 48], 6), FPS), np.array([0, 48]) / FPS)


def test_small_ripples_are_no_onsets():
    ripple = 0.1 * np.sin(np.arange(FRAMES))
    np.testing.assert_allclose(onsets(decay([20], 6) + 0.5 * ripple, FPS), [20 / FPS])
    assert onsets(np.full(FRAMES, 3.0), FPS).size == 0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0.0, 1.0], [0.0, 1.0], 1.0),
        ([0.0, 1.0], [0.08, 0.93], 1.0),
        ([0.0, 1.0], [0.09, 1.0], 0.5),
        ([0.0, 1.0, 2.0], [1.0], 0.5),
        ([0.0], [0.0, 0.05], 2 / 3),  # one-to-one: the second match is not counted
        ([0.05, 0.1], [0.0, 0.08], 1.0),
        ([1.0], [], 0.0),
    ],
)
def test_onset_f1_closed_forms(first, second, expected):
    assert onset_f1(np.array(first), np.array(second)) == pytest.approx(expected)
    assert onset_f1(np.array(second), np.array(first)) == pytest.approx(expected)


def test_onset_f1_of_no_events_at_all_is_undefined():
    assert np.isnan(onset_f1(np.empty(0), np.empty(0)))


def test_synchronous_pairs_have_a_gap_well_above_a_tenth():
    visual, envelope = pairs(24)
    scores = correlation_scores(visual, envelope)
    assert scores.paired.min() > 0.9
    assert bootstrap_mean(scores.gap, seed=0).ci_low > 0.4
    assert bootstrap_mean(onset_scores(visual, envelope, FPS).gap, seed=0).ci_low > 0.4


def test_sound_four_frames_late_loses_the_gap():
    visual, envelope = pairs(24, shift=4)
    late, in_time = correlation_scores(visual, envelope).gap.mean(), correlation_scores(*pairs(24)).gap.mean()
    assert late < 0.1 < in_time - 0.3
    assert np.nanmean(onset_scores(visual, envelope, FPS).gap) < 0.1


def test_noise_has_a_gap_whose_interval_contains_zero():
    rng = np.random.default_rng(2)
    gap = correlation_scores(rng.normal(size=(32, FRAMES)), rng.normal(size=(32, FRAMES))).gap
    estimate = bootstrap_mean(gap, seed=0)
    assert estimate.ci_low < 0 < estimate.ci_high


def test_shuffled_is_the_mean_over_the_other_clips():
    visual, envelope = pairs(3)
    scores = correlation_scores(visual, envelope)
    expected = (correlation(visual[0], envelope[1]) + correlation(visual[0], envelope[2])) / 2
    assert scores.shuffled[0] == pytest.approx(expected)
    assert scores.gap[0] == pytest.approx(scores.paired[0] - expected)


def test_a_silent_clip_is_undefined_and_leaves_the_others_alone():
    visual, envelope = pairs(4)
    envelope[2] = 0.0
    scores = correlation_scores(visual, envelope)
    assert np.isnan(scores.paired).tolist() == [False, False, True, False]
    assert np.isfinite(scores.shuffled).all()


def test_one_clip_has_nothing_to_be_compared_with():
    scores = correlation_scores(*pairs(1))
    assert np.isfinite(scores.paired).all()
    assert np.isnan(scores.gap).all()
