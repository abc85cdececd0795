"""Where clips lie: lengths, margins, buckets, and which frame of the source is on screen when."""

import itertools

import numpy as np
import pytest

from nava.config.curation import ClipConfig, SceneConfig
from nava.data.curation.scenes import Scene
from nava.data.curation.windows import audio_windows, frame_numbers, nearest_bucket, scene_windows

CLIP_S = 49 / 24
MARGINS = SceneConfig(margin_s=0.042, fade_margin_s=0.25)


def scene(t1_s, **fades):
    return Scene(0, 0, 10_000, 0.0, t1_s, **fades)


def windows_of(t1_s, clip=None, **fades):
    return scene_windows(scene(t1_s, **fades), clip or ClipConfig(), MARGINS)


@pytest.mark.parametrize("fps", [12, 23.976, 24, 25, 29.97, 30, 60])
def test_every_frame_rate_gives_the_frames_that_were_on_screen(fps):
    times_s = np.arange(round(2.6 * fps)) / fps
    whole = Scene(0, 0, len(times_s) - 1, 0.0, 2.6)
    (window,) = scene_windows(whole, ClipConfig(), MARGINS)
    numbers = frame_numbers(times_s, whole, window, 24)
    expected = np.floor((window.t0_s + np.arange(49) / 24) * fps + 5e-4 * fps + 1e-6)
    assert (numbers == expected).all()


def test_a_variable_frame_rate_is_resampled_by_time():
    times_s = (np.arange(72) / 24)[np.r_[0:20, 20:60:2, 60:72]]
    whole = Scene(0, 0, len(times_s) - 1, 0.0, 3.0)
    (window,) = scene_windows(whole, ClipConfig(), MARGINS)
    shown_s = times_s[frame_numbers(times_s, whole, window, 24)]
    late = window.t0_s + np.arange(49) / 24 - shown_s
    assert late.min() > -1e-3
    assert late.max() < 2.01 / 24


def test_no_frame_of_another_scene_is_shown():
    times_s = np.arange(200) / 24
    second = Scene(1, 60, 120, 60 / 24, 121 / 24)
    (window,) = scene_windows(second, ClipConfig(), MARGINS)
    numbers = frame_numbers(times_s, second, window, 24)
    assert numbers.min() >= 60
    assert numbers.max() <= 120


def test_margins_are_kept_and_give_way():
    (roomy,) = windows_of(3.0)
    assert roomy.t0_s == pytest.approx(0.042)
    (faded,) = windows_of(3.0, fades_in=True)
    assert faded.t0_s == pytest.approx(0.25)
    (tight,) = windows_of(2.05)
    assert 0 <= tight.t0_s < 0.01
    assert tight.t1_s(24) <= 2.05


def test_a_scene_that_is_too_short_gives_nothing():
    assert windows_of(2.0) == []


def test_a_long_scene_gives_several_clips_apart_and_not_too_many():
    windows = windows_of(20.0)
    assert len(windows) == 4
    assert all(later.t0_s >= earlier.t1_s(24) for earlier, later in itertools.pairwise(windows))
    assert len(windows_of(4.4)) == 2


def test_the_longest_length_that_fits_is_taken():
    clip = ClipConfig(frame_counts=[49, 97, 121])
    assert [[window.frames for window in windows_of(seconds, clip)] for seconds in (1.9, 2.2, 4.2, 6.0)] == [
        [],
        [49],
        [97],
        [121],
    ]


def test_sound_alone_is_cut_back_to_back_and_fills_up_with_shorter_clips():
    clip = ClipConfig()
    assert [window.t0_s for window in audio_windows(100_000, clip)] == [0.0, 2.08, 4.16]
    assert audio_windows(33_279, clip) == []
    lengths = [window.frames for window in audio_windows(16_000 * 8, ClipConfig(frame_counts=[49, 97]))]
    assert lengths == [97, 49]


@pytest.mark.parametrize(
    ("size", "bucket"),
    [((1920, 1080), (1280, 704)), ((1080, 1920), (704, 1280)), ((640, 640), (960, 960)), ((640, 480), (960, 960))],
)
def test_a_picture_takes_the_bucket_nearest_to_its_aspect(size, bucket):
    assert nearest_bucket(*size, ClipConfig(buckets=["1280x704", "704x1280", "960x960"]).sizes()) == bucket


def test_of_buckets_of_one_aspect_the_one_that_is_no_enlargement_is_taken():
    sizes = ClipConfig(buckets=["1280x720", "640x360"]).sizes()
    assert nearest_bucket(800, 450, sizes) == (640, 360)
    assert nearest_bucket(1920, 1080, sizes) == (1280, 720)


def test_the_lengths_of_sound_are_whole_audio_latents_at_both_rates():
    clip = ClipConfig()
    assert clip.samples_16k(49) == 33_280
    assert clip.samples_48k(49) == 99_840
    assert clip.samples_16k(121) % 640 == 0
    assert 0 <= clip.samples_16k(121) - 121 / 24 * 16_000 < 640
