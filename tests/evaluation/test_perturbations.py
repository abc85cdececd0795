"""Spoil good clips in known ways: the metric that should notice must notice, by the right sign and the right order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nava.evaluation.attributes import nearest_hue
from nava.evaluation.measures import measure
from nava.evaluation.statistics import bootstrap_mean, wilson
from nava.evaluation.synchrony import correlation, correlation_scores, onset_f1, onset_scores
from nava.evaluation.tracks import audio_envelope, brightness
from tests.evaluation.drawn_clips import FPS, FRAMES, RATE, VOCABULARY, Drawn, flash_clip

N = 12


def clips(**changes):
    return [flash_clip(seed, **changes) for seed in range(N)]


def gap(drawn):
    measures = [measure(clip.frames, clip.samples, RATE, FPS) for clip in drawn]
    visual_NT, envelope_NT = (np.array([getattr(m, name) for m in measures]) for name in ("brightness", "envelope"))
    return correlation_scores(visual_NT, envelope_NT).gap.mean(), np.nanmean(
        onset_scores(visual_NT, envelope_NT, FPS).gap
    )


def test_the_later_the_sound_the_smaller_the_gap():
    gaps = [gap(clips(delay_s=delay))[0] for delay in (0.0, 0.08, 0.16)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[0] > 0.5
    assert gaps[2] < 0.1


def test_the_more_grain_the_smaller_the_gap_but_averaging_over_pixels_keeps_it():
    clean, grainy = gap(clips())[0], gap(clips(grain=40.0))[0]
    assert clean >= grainy > 0.3


def test_noise_over_the_sound_hides_its_events():
    def with_noise(level):
        rng = np.random.default_rng(0)
        return [
            Drawn(c.frames, (c.samples + level * rng.normal(size=c.samples.shape)).astype(np.float32)) for c in clips()
        ]

    gaps = [gap(with_noise(level))[0] for level in (0.0, 0.1, 3.0)]
    assert gaps[0] > gaps[1] > gaps[2]


def test_blurring_in_time_costs_onsets_more_than_correlation():
    kernel = np.ones(9) / 9
    spoiled = []
    for clip in clips():
        smooth = np.apply_along_axis(np.convolve, 0, clip.frames.astype(float), kernel, "same")
        spoiled.append(Drawn(smooth.astype(np.uint8), clip.samples))
    before, after = gap(clips()), gap(spoiled)
    assert after[0] < before[0]
    assert after[1] < before[1] - 0.2


def test_exchanging_the_sounds_leaves_no_gap():
    drawn = clips()
    exchanged = [Drawn(clip.frames, drawn[(i + 1) % N].samples) for i, clip in enumerate(drawn)]
    assert gap(exchanged)[0] < 0.1
    assert gap(exchanged)[1] < 0.15


def test_darker_pictures_and_softer_sounds_change_nothing():
    loud, soft = flash_clip(1), flash_clip(1)
    soft = Drawn((soft.frames // 2).astype(np.uint8), soft.samples * 0.2)
    found = [
        correlation(brightness(clip.frames), audio_envelope(clip.samples, RATE, FPS, FRAMES)) for clip in (loud, soft)
    ]
    assert found[0] == pytest.approx(found[1], abs=0.02)


@given(st.floats(0.1, 10), st.floats(-5, 5), st.integers(0, 100))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_correlation_does_not_depend_on_scale_and_offset(scale, offset, seed):
    first, second = np.random.default_rng(seed).normal(size=(2, FRAMES))
    assert correlation(scale * first + offset, second) == pytest.approx(correlation(first, second), abs=1e-9)
    assert -1.0 <= correlation(first, second) <= 1.0


times = st.lists(st.integers(0, 60), max_size=6, unique=True).map(lambda ticks: np.array(sorted(ticks)) / 24)


def most_matches(first, second, tolerance):
    """The size of the largest one-to-one matching, by trying everything."""
    if len(first) == 0 or len(second) == 0:
        return 0
    best = most_matches(first[1:], second, tolerance)
    for j, other in enumerate(second):
        if abs(first[0] - other) <= tolerance:
            best = max(best, 1 + most_matches(first[1:], np.delete(second, j), tolerance))
    return best


@given(times, times)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_onset_matching_is_the_largest_possible(first, second):
    if len(first) + len(second) == 0:
        return
    expected = 2 * most_matches(first, second, 0.08) / (len(first) + len(second))
    assert onset_f1(first, second) == pytest.approx(expected) == pytest.approx(onset_f1(second, first))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.integers(0, 1000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_bootstrap_interval_lies_within_the_values_and_around_their_mean(values, seed):
    estimate = bootstrap_mean(values, seed, resamples=200)
    tolerance = 1e-9 * (1 + max(map(abs, values)))
    assert min(values) - tolerance <= estimate.ci_low <= estimate.ci_high <= max(values) + tolerance
    assert min(values) - tolerance <= estimate.value <= max(values) + tolerance


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_wilson_interval_is_a_share_around_the_share_and_mirrors(counts):
    successes, n = counts
    estimate, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= estimate.ci_low <= estimate.value <= estimate.ci_high <= 1
    assert estimate.ci_low == pytest.approx(1 - mirrored.ci_high, abs=1e-12)


@given(st.sampled_from(sorted(VOCABULARY.colours)), st.floats(0.05, 3.0), st.floats(0, 200))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_hue_does_not_depend_on_brightness_or_on_added_grey(word, scale, grey):
    assert nearest_hue(scale * np.array(VOCABULARY.colours[word]) + grey, VOCABULARY.colours) == word
