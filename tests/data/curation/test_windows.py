"""Clips: where they lie, that they are exact, and what their files hold."""

import itertools
import wave

import av
import numpy as np
import pytest

from nava.config.curation import ClipConfig, DecodeConfig
from nava.data.curation.cuts import Shot
from nava.data.curation.decoding import DecodedSource, DecodeStage
from nava.data.curation.windows import Window, WindowStage, write_mp4, write_wav
from tests.data.curation.conftest import RATE_HZ, draw_flash

CLIP_S = 49 / 24


@pytest.fixture
def stage():
    return WindowStage(ClipConfig(), margin_s=0.042, fade_margin_s=0.25)


def numbered_source(seconds, fps):
    """Every frame is as bright as its number, every sample as loud as its time."""
    count = round(seconds * fps)
    frames = np.zeros((count, 64, 64, 3), np.uint8) + (np.arange(count) % 250).astype(np.uint8)[:, None, None, None]
    audio = np.linspace(0, 1, round(seconds * RATE_HZ), dtype=np.float32)
    return DecodedSource(np.arange(count) / fps, frames, frames[..., 0], [], audio, RATE_HZ, True, True)


def whole_shot(source, t1_s, **fades):
    return Shot(0, 0, len(source.times_s) - 1, 0.0, t1_s, **fades)


@pytest.mark.parametrize("fps", [12, 23.976, 24, 25, 29.97, 30, 60])
def test_every_frame_rate_gives_exact_clips(stage, fps):
    source = numbered_source(2.6, fps)
    (window,) = stage.process(source, whole_shot(source, 2.6))
    assert window.frames_THWC.shape == (49, 64, 64, 3)
    assert window.audio.shape == (33_280,)
    assert window.t1_s - window.t0_s == pytest.approx(CLIP_S)
    shown = window.frames_THWC[:, 0, 0, 0].astype(int)
    expected = np.floor((window.t0_s + np.arange(49) / 24) * fps + 5e-4 * fps + 1e-6)
    assert (shown == expected).all()


def test_a_variable_frame_rate_is_resampled_by_time(stage):
    source = numbered_source(3.0, 24)
    keep = np.r_[0:20, 20:60:2, 60:72]
    source.times_s, source.frames_THWC = source.times_s[keep], source.frames_THWC[keep]
    (window,) = stage.process(source, whole_shot(source, 3.0))
    shown = window.frames_THWC[:, 0, 0, 0].astype(int)
    wanted = (window.t0_s + np.arange(49) / 24) * 24
    assert ((wanted - shown) < 2.01).all()
    assert ((wanted - shown) > -0.02).all()


def test_sound_begins_with_the_picture(stage):
    source = numbered_source(3.0, 24)
    (window,) = stage.process(source, whole_shot(source, 3.0))
    assert window.audio[0] == pytest.approx(window.t0_s / 3.0, abs=1e-4)


def test_margins_are_kept_and_give_way(stage):
    source = numbered_source(3.0, 24)
    (roomy,) = stage.process(source, whole_shot(source, 3.0))
    assert roomy.t0_s == pytest.approx(0.042)
    (faded,) = stage.process(source, whole_shot(source, 3.0, fades_in=True))
    assert faded.t0_s == pytest.approx(0.25)
    (tight,) = stage.process(source, whole_shot(source, 2.05))
    assert 0 <= tight.t0_s < 0.01
    assert tight.t1_s <= 2.05


def test_a_shot_that_is_too_short_gives_nothing(stage):
    source = numbered_source(2.0, 24)
    assert stage.process(source, whole_shot(source, 2.0)) == []


def test_a_long_shot_gives_several_clips_apart_and_not_too_many(stage):
    source = numbered_source(20.0, 24)
    windows = stage.process(source, whole_shot(source, 20.0))
    assert len(windows) == 4
    assert all(later.t0_s >= earlier.t1_s for earlier, later in itertools.pairwise(windows))
    assert len(stage.process(source, whole_shot(source, 4.4))) == 2


def test_the_next_shots_sound_stays_out(stage):
    source = numbered_source(4.0, 24)
    source.audio[:] = 0.5
    first = Shot(0, 0, 48, 0.0, 49 / 24)
    (window,) = stage.process(source, first)
    end = round(49 / 24 * RATE_HZ)
    assert window.audio[end - 200] == 0.5
    assert not window.audio[end:].any()


def test_sound_shorter_than_the_picture_is_padded(stage):
    source = numbered_source(2.5, 24)
    source.audio = source.audio[:20_000]
    (window,) = stage.process(source, whole_shot(source, 2.5))
    assert window.audio.shape == (33_280,)
    assert not window.audio[20_000:].any()


def test_sound_alone_is_cut_back_to_back(stage):
    audio = np.arange(100_000, dtype=np.float32)
    source = DecodedSource(
        np.zeros(0), np.zeros((0, 64, 64, 3)), np.zeros((0, 64, 64)), [], audio, RATE_HZ, False, True
    )
    windows = stage.process_audio(source)
    assert [window.audio[0] for window in windows] == [0, 33_280, 66_560]
    assert all(len(window.audio) == 33_280 and window.frames_THWC is None for window in windows)
    source.audio = audio[:33_279]
    assert stage.process_audio(source) == []


@pytest.fixture
def window():
    frames, audio = draw_flash(seconds=2.1)
    audio = np.pad(audio, (0, 33_280))[:33_280]
    return Window(0, 0.0, CLIP_S, frames[:49], audio)


def test_the_wav_is_exact(tmp_path, window):
    write_wav(tmp_path / "clip.wav", window.audio, RATE_HZ)
    with wave.open(str(tmp_path / "clip.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, RATE_HZ, 33_280)
        samples = np.frombuffer(file.readframes(33_280), "<i2") / 32_767
    assert np.abs(samples - window.audio).max() <= 0.5 / 32_767 + 1e-6


def test_loud_sound_is_limited_not_wrapped(tmp_path):
    write_wav(tmp_path / "loud.wav", np.array([1.5, -1.5], np.float32), RATE_HZ)
    with wave.open(str(tmp_path / "loud.wav")) as file:
        assert np.frombuffer(file.readframes(2), "<i2").tolist() == [32_767, -32_768]


def test_the_mp4_shows_and_sounds_like_the_clip_and_repeats_exactly(tmp_path, window):
    write_mp4(tmp_path / "clip.mp4", window, ClipConfig())
    write_mp4(tmp_path / "again.mp4", window, ClipConfig())
    assert (tmp_path / "clip.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].average_rate == 24
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 49
    assert np.abs(np.stack(frames).astype(int) - window.frames_THWC).mean() < 6
    source = DecodeStage(ClipConfig(), DecodeConfig()).process(tmp_path / "clip.mp4")
    assert np.corrcoef(source.audio[:32_000], window.audio[:32_000])[0, 1] > 0.99
