"""Decode check: what good files give, and how each kind of broken file is called."""

import av
import numpy as np
import pytest

from nava.artifacts.clip_manifest import Reason
from nava.config.curation import IntegrityConfig
from nava.data.curation.decoding import decode_source, join_audio
from nava.data.curation.stage import SourceRejectedError
from tests.data.curation.conftest import RATE_HZ, draw_flash, draw_room, write_media


def decode(path, **limits):
    return decode_source(path, RATE_HZ, IntegrityConfig(**limits))


@pytest.fixture
def flash_path(tmp_path):
    return write_media(tmp_path / "flash.mp4", *draw_flash(seconds=2.5, size=(96, 128)))


def reason_of(path, **limits):
    with pytest.raises(SourceRejectedError) as caught:
        decode(path, **limits)
    assert caught.value.detail
    return caught.value.reason


def test_a_good_file_gives_frames_times_stills_and_sound(flash_path):
    source = decode(flash_path)
    assert source.small_THWC.shape == (60, 64, 64, 3)
    assert source.small_luma_THW.shape == (60, 64, 64)
    assert (source.vcodec, source.acodec) == ("h264", "aac")
    assert np.allclose(source.times_s, np.arange(60) / 24, atol=1e-6)
    assert (source.width, source.height) == (128, 96)
    assert [still.luma_HW.shape for still in source.stills] == [(96, 128)] * 5
    assert source.has_video
    assert source.has_audio
    assert source.packet_errors == source.corrupt_frames == 0
    assert abs(len(source.audio) / RATE_HZ - 2.5) < 0.08


def test_sound_stays_where_it_was(tmp_path):
    audio = np.zeros(2 * 48_000, np.float32)
    audio[24_000:24_100] = 0.9
    path = write_media(tmp_path / "click.mp4", draw_room(0, 48), audio, rate_hz=48_000)
    heard = decode(path).audio
    assert abs(int(np.argmax(np.abs(heard) > 0.2)) - 8_000) <= 16


def test_the_whole_picture_is_kept_small_whatever_its_shape(tmp_path):
    frames = np.zeros((24, 64, 128, 3), np.uint8)
    frames[:, :, :32], frames[:, :, 32:96], frames[:, :, 96:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    source = decode(write_media(tmp_path / "wide.mp4", frames, np.zeros(16_000, np.float32)))
    picture = source.small_THWC[12].astype(int)
    for columns, channel in ((slice(2, 14), 0), (slice(18, 46), 1), (slice(50, 62), 2)):
        assert (picture[:, columns, channel] > 200).all()


def test_the_small_luma_is_that_of_the_colours(tmp_path):
    frames = np.zeros((12, 64, 64, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    source = decode(write_media(tmp_path / "plain.mp4", frames, np.zeros(8_000, np.float32)))
    assert abs(int(source.small_luma_THW[3].mean()) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) < 4


def test_a_turned_picture_is_turned_upright(tmp_path):
    upright = np.zeros((12, 64, 64, 3), np.uint8)
    upright[:, :32] = 230
    path = write_media(tmp_path / "turned.mp4", upright, np.zeros(8_000, np.float32))
    turned = bytearray(path.read_bytes())
    # The display matrix of the video track: a quarter turn, as phones write it.
    at = turned.index(b"tkhd") + 4 + 40
    one, minus_one, zero = (1 << 16).to_bytes(4, "big"), (2**32 - (1 << 16)).to_bytes(4, "big"), bytes(4)
    turned[at : at + 36] = zero + one + zero + minus_one + zero + zero + zero + zero + (1 << 30).to_bytes(4, "big")
    (tmp_path / "phone.mp4").write_bytes(turned)
    plain, rotated = decode(path), decode(tmp_path / "phone.mp4")
    assert plain.small_THWC[6][:20].mean() > 200
    with av.open(str(tmp_path / "phone.mp4")) as container:
        assert abs(next(container.decode(video=0)).rotation) == 90
    # Shown a quarter turn clockwise, the bright half lies on the right.
    assert rotated.small_THWC[6][:, 44:].mean() > 200
    assert rotated.small_THWC[6][:, :20].mean() < 50
    assert rotated.stills[0].luma_HW[:, 44:].mean() > 200
    assert rotated.stills[0].luma_HW[:, :20].mean() < 50


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_files_of_sound_alone_are_decoded(tmp_path, suffix):
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ * 3) / RATE_HZ)
    source = decode(write_media(tmp_path / f"tone{suffix}", audio=tone))
    assert not source.has_video
    assert source.has_audio
    assert abs(len(source.audio) - 3 * RATE_HZ) < 0.1 * RATE_HZ
    assert 0.2 < np.sqrt((source.audio**2).mean()) < 0.35


def test_a_video_without_sound_says_so(tmp_path):
    source = decode(write_media(tmp_path / "mute.mp4", draw_room(0, 24)))
    assert source.has_video
    assert not source.has_audio
    assert len(source.audio) == 0


@pytest.mark.parametrize(
    "content", [b"hello, I am a text file\n" * 40, b"", b"<html><body>404</body></html>", bytes(range(256)) * 64]
)
def test_what_is_not_media_is_called_so(tmp_path, content):
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    assert reason_of(path) is Reason.UNDECODABLE


@pytest.mark.parametrize("content", [b"#EXTM3U\n#EXTINF:10,\n{media}\n", b"ffconcat version 1.0\nfile {media}\n"])
def test_a_playlist_cannot_make_the_decoder_open_other_files(tmp_path, flash_path, content):
    path = tmp_path / "playlist.mp4"
    path.write_bytes(content.replace(b"{media}", flash_path.name.encode()))
    assert reason_of(path) is Reason.UNDECODABLE


def test_a_file_that_lost_its_index_is_undecodable(tmp_path, flash_path):
    path = tmp_path / "half.mp4"
    path.write_bytes(flash_path.read_bytes()[: flash_path.stat().st_size // 2])
    assert reason_of(path) is Reason.UNDECODABLE


def test_a_file_that_lost_its_end_is_truncated(tmp_path):
    whole = write_media(tmp_path / "whole.mp4", *draw_flash(seconds=4, size=(96, 128)), faststart=True)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    assert reason_of(path) is Reason.TRUNCATED


def test_damage_inside_is_counted_and_refused(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (72, 96, 96, 3), dtype=np.uint8)
    whole = write_media(tmp_path / "noise.mp4", frames, np.zeros(3 * RATE_HZ, np.float32), faststart=True)
    data = bytearray(whole.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 3, len(data), 4_000):
        data[at] ^= 0xFF
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert reason_of(path) in (Reason.DAMAGED, Reason.UNDECODABLE, Reason.TRUNCATED)


def hollow(tmp_path, size):
    """A good film with a hole of zeros in its payload."""
    frames = np.random.default_rng(0).integers(0, 255, (72, 96, 96, 3), dtype=np.uint8)
    whole = write_media(tmp_path / "noise.mp4", frames, np.zeros(3 * RATE_HZ, np.float32), faststart=True)
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 : len(data) // 2 + size] = bytes(size)
    path = tmp_path / "hollow.mp4"
    path.write_bytes(data)
    return path


def test_the_error_share_decides_about_a_hole(tmp_path):
    path = hollow(tmp_path, 40_000)
    assert reason_of(path) is Reason.DAMAGED
    tolerant = decode(path, max_error_share=1.0, max_gap_s=10.0)
    assert tolerant.packet_errors + tolerant.corrupt_frames > 0
    assert reason_of(path, max_error_share=1.0, max_gap_s=1 / 25) is Reason.DAMAGED


def test_a_pause_between_frames_is_no_damage_without_errors(tmp_path):
    frames, audio = draw_flash(seconds=3, size=(96, 128))
    source = decode(write_media(tmp_path / "slow.mp4", frames[::24], audio, fps=1), max_gap_s=0.5)
    assert source.largest_gap_s == pytest.approx(1.0)
    assert source.packet_errors == 0


def test_sound_that_goes_on_after_the_picture_is_no_truncation(tmp_path):
    frames, _ = draw_flash(seconds=2, size=(96, 128))
    source = decode(write_media(tmp_path / "tail.mp4", frames, np.zeros(RATE_HZ * 3, np.float32)))
    assert source.duration_s == pytest.approx(2.0)
    assert len(source.audio) >= 2.9 * RATE_HZ


def test_a_file_that_is_too_long_is_refused_before_it_is_decoded(flash_path):
    assert reason_of(flash_path, max_source_duration_s=1.0) is Reason.TOO_LONG


def test_a_gap_in_the_track_becomes_silence():
    ones = np.ones((2, 1000), np.float32)
    joined = join_audio([(0.0, ones), (0.5, ones)], 16_000)
    assert joined.shape == (2, 9_000)
    assert joined[:, :1000].all()
    assert not joined[:, 1000:8000].any()
    assert joined[:, 8000:].all()


def test_sound_before_time_zero_is_cut_and_late_sound_is_padded():
    ramp = np.arange(1, 101, dtype=np.float32)[None]
    assert join_audio([(-50 / 16_000, ramp)], 16_000)[0, 0] == 51
    late = join_audio([(0.01, ramp)], 16_000)
    assert late.shape == (1, 260)
    assert not late[:, :160].any()
