import numpy as np
import pytest

from nava.evaluation.tracks import audio_envelope, brightness, motion


def video(values):
    """Frames of one grey level each, [T, 4, 4, 3]."""
    return np.broadcast_to(np.array(values, dtype=np.uint8)[:, None, None, None], (len(values), 4, 4, 3)).copy()


def test_brightness_is_the_mean_of_the_largest_channel():
    frames = video([0, 10, 200])
    frames[1, 0, 0] = [90, 30, 0]
    np.testing.assert_allclose(brightness(frames), [0, 10 + 80 / 16, 200])


def test_brightness_does_not_depend_on_the_hue():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[0, ..., 0] = 120
    frames[1, ..., 2] = 120
    np.testing.assert_allclose(brightness(frames), [120, 120])


def test_motion_is_the_change_against_the_frame_before():
    np.testing.assert_allclose(motion(video([0, 10, 10, 30])), [10, 10, 0, 20])
    np.testing.assert_allclose(motion(video([7])), [0])


@pytest.mark.parametrize("track", [brightness, motion])
@pytest.mark.parametrize(
    "bad", [np.zeros((2, 4, 4), np.uint8), np.zeros((2, 3, 4, 4), np.uint8), np.zeros((2, 4, 4, 3))]
)
def test_video_of_another_layout_is_refused(track, bad):
    with pytest.raises(ValueError, match="uint8"):
        track(bad)


def test_envelope_is_the_root_of_the_rms_of_each_frame():
    audio = np.concatenate([np.zeros(100), np.full(100, 0.25), np.full(100, -0.04)])
    np.testing.assert_allclose(audio_envelope(audio, 1000, 10.0, 3), [0.0, 0.5, 0.2])


def test_envelope_frames_fall_where_the_pictures_fall():
    # 49 frames of 24 fps at 16 kHz: frame t starts at sample round(t * 16000 / 24).
    audio = np.zeros(33_280)
    audio[round(30 * 16_000 / 24)] = 1.0
    assert np.flatnonzero(audio_envelope(audio, 16_000, 24.0, 49)).tolist() == [30]


def test_short_audio_ends_in_silence_and_long_audio_is_cut():
    np.testing.assert_allclose(audio_envelope(np.ones(150), 1000, 10.0, 3), [1.0, 0.5**0.25, 0.0])
    np.testing.assert_allclose(audio_envelope(np.ones(1000), 1000, 10.0, 2), [1.0, 1.0])


def test_stereo_is_refused():
    with pytest.raises(ValueError, match="mono"):
        audio_envelope(np.zeros((2, 100)), 1000, 10.0, 1)
