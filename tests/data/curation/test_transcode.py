"""What the files of clips hold: exact lengths, the right frames, the right sound, the same bytes every time."""

import wave

import av
import numpy as np
import pytest

from nava.config.curation import ClipConfig, IntegrityConfig
from nava.data.curation.decoding import decode_source
from nava.data.curation.transcode import (
    PictureCut,
    cut_pictures,
    cut_sound,
    read_sound,
    write_flac,
    write_mp4,
    write_wav,
)
from tests.data.curation.conftest import RATE_HZ, draw_flash, write_media

WHOLE = (0.0, 0.0, 1.0, 1.0)


def numbered(count, size=(64, 64)):
    """Frame n says its number in base 8: left half n // 8, right half n % 8, in steps that a codec keeps."""
    frames = np.zeros((count, *size, 3), np.uint8)
    half = size[1] // 2
    frames[:, :, :half] = (20 + np.arange(count) // 8 * 20).astype(np.uint8)[:, None, None, None]
    frames[:, :, half:] = (20 + np.arange(count) % 8 * 20).astype(np.uint8)[:, None, None, None]
    return frames


@pytest.fixture
def stairs(tmp_path):
    return write_media(tmp_path / "stairs.mp4", numbered(70), np.zeros(3 * RATE_HZ, np.float32))


def numbers_of(frames_THWC):
    quarter = frames_THWC.shape[2] // 4
    eights, ones = (
        np.rint((part.mean(axis=(1, 2, 3)) - 20) / 20)
        for part in (frames_THWC[:, :, :quarter], frames_THWC[:, :, -quarter:])
    )
    return (eights * 8 + ones).astype(int)


def test_clips_hold_the_frames_they_ask_for_whatever_the_order(stairs):
    cuts = [
        PictureCut(np.arange(40, 60), WHOLE, (64, 64)),
        PictureCut(np.array([0, 0, 1, 1, 2]), WHOLE, (32, 32)),
        PictureCut(np.arange(41, 45), WHOLE, (64, 64)),
    ]
    found = dict(cut_pictures(stairs, cuts))
    assert [found[number].shape for number in range(3)] == [(20, 64, 64, 3), (5, 32, 32, 3), (4, 64, 64, 3)]
    for number, cut in enumerate(cuts):
        assert (numbers_of(found[number]) == cut.frames_T).all()


def test_frames_are_those_that_the_integrity_stage_counted(tmp_path):
    path = write_media(tmp_path / "moving.mp4", *draw_flash(seconds=2.5, size=(96, 128)))
    track = decode_source(path, RATE_HZ, IntegrityConfig())
    (pair,) = cut_pictures(path, [PictureCut(np.arange(len(track.times_s)), WHOLE, (64, 64))])
    assert pair[1].shape == (60, 64, 64, 3)


def test_a_crop_cuts_the_band_away_and_keeps_the_aspect(tmp_path):
    frames = np.zeros((12, 100, 200, 3), np.uint8) + 60
    frames[:, 90:] = 250
    frames[:, :, :50] = (250, 0, 0)
    path = write_media(tmp_path / "band.mp4", frames, np.zeros(8_000, np.float32))
    cut = PictureCut(np.arange(12), (0.0, 0.0, 1.0, 0.88), (64, 64))
    ((_, cropped),) = cut_pictures(path, [cut])
    ((_, whole),) = cut_pictures(path, [PictureCut(np.arange(12), WHOLE, (64, 64))])
    assert cropped[6][:, 8:-8].max() < 120
    assert whole[6][-4:, 8:-8].min() > 200
    assert cropped[6][:, :4, 0].mean() < 120  # the sides were cut to keep circles round


def test_sound_is_kept_at_its_rate_with_its_channels(tmp_path):
    seconds, rate = 2.0, 48_000
    clock = np.arange(round(seconds * rate)) / rate
    path = write_media(tmp_path / "tone.mp4", numbered(48), 0.5 * np.sin(2 * np.pi * 9_000 * clock), rate_hz=rate)
    sound = read_sound(path, rate)
    assert sound.shape[0] == 1
    assert abs(sound.shape[1] - seconds * rate) < 2_048
    spectrum = np.abs(np.fft.rfft(sound[0, 8_000:88_000]))
    assert abs(np.argmax(spectrum) * rate / 80_000 - 9_000) < 5


def test_a_source_without_sound_gives_none(tmp_path):
    assert read_sound(write_media(tmp_path / "mute.mp4", numbered(24)), 48_000).shape == (0, 0)


def test_the_next_scenes_sound_stays_out():
    sound = np.full((2, 64_000), 0.5, np.float32)
    end = round(49 / 24 * RATE_HZ)
    cut = cut_sound(sound, RATE_HZ, 0.0, 33_280, 49 / 24)
    assert cut.shape == (2, 33_280)
    assert (cut[:, end - 200] == 0.5).all()
    assert not cut[:, end:].any()


def test_sound_begins_with_the_picture_and_is_padded_where_it_ends_early():
    ramp = np.arange(20_000, dtype=np.float32)[None]
    assert cut_sound(ramp, RATE_HZ, 0.5, 100, 9.0)[0, 0] == 8_000
    padded = cut_sound(ramp, RATE_HZ, 0.0, 33_280, 9.0)
    assert padded.shape == (1, 33_280)
    assert not padded[:, 20_000:].any()


def test_the_wav_is_exact(tmp_path):
    audio = np.pad(draw_flash(seconds=2.1)[1], (0, 33_280))[:33_280]
    write_wav(tmp_path / "clip.wav", audio, RATE_HZ)
    with wave.open(str(tmp_path / "clip.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, RATE_HZ, 33_280)
        samples = np.frombuffer(file.readframes(33_280), "<i2") / 32_767
    assert np.abs(samples - audio).max() <= 0.5 / 32_767 + 1e-6


def test_loud_sound_is_limited_not_wrapped(tmp_path):
    write_wav(tmp_path / "loud.wav", np.array([1.5, -1.5], np.float32), RATE_HZ)
    with wave.open(str(tmp_path / "loud.wav")) as file:
        assert np.frombuffer(file.readframes(2), "<i2").tolist() == [32_767, -32_768]


@pytest.mark.parametrize("channels", [1, 2])
def test_the_flac_is_without_loss_and_repeats_exactly(tmp_path, channels):
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (channels, 99_840)).astype(np.float32)
    write_flac(tmp_path / "one.flac", sound, 48_000)
    write_flac(tmp_path / "two.flac", sound, 48_000)
    assert (tmp_path / "one.flac").read_bytes() == (tmp_path / "two.flac").read_bytes()
    back = read_sound(tmp_path / "one.flac", 48_000)
    assert back.shape == sound.shape
    assert np.abs(back - sound).max() < 2 / 32_767


def test_the_mp4_shows_and_sounds_like_the_clip_and_repeats_exactly(tmp_path):
    frames, audio = draw_flash(seconds=2.1)
    frames, sound = frames[:49], np.repeat(np.pad(audio, (0, 33_280))[:33_280], 3)[None]
    write_mp4(tmp_path / "clip.mp4", frames, sound, ClipConfig())
    write_mp4(tmp_path / "again.mp4", frames, sound, ClipConfig())
    assert (tmp_path / "clip.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.audio[0].codec_context.sample_rate == 48_000
        assert container.streams.video[0].average_rate == 24
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 49
    assert np.abs(np.stack(shown).astype(int) - frames).mean() < 6
    heard = decode_source(tmp_path / "clip.mp4", RATE_HZ, IntegrityConfig()).audio
    assert np.corrcoef(heard[:32_000], audio[:32_000])[0, 1] > 0.99
