from fractions import Fraction

import av
import numpy as np
import pytest

from nava.generation.media import read_mp4, write_mp4, write_wav
from nava.runtime.errors import InputError

RATE = 16_000


def clip(frames=49, size=64, samples=33_280):
    """A moving bar with a tone burst."""
    video = np.full((frames, size, size, 3), 30, np.uint8)
    for t in range(frames):
        video[t, :, (t % size) : (t % size) + 8] = (200, 60, 90)
    time = np.arange(samples) / RATE
    audio = 0.5 * np.sin(2 * np.pi * 440 * time) * (np.abs(time - 1) < 0.1)
    return video, audio.astype(np.float32)


def test_round_trip(tmp_path):
    video, audio = clip()
    write_mp4(tmp_path / "a.mp4", video, 24, audio, RATE, crf=10)
    media = read_mp4(tmp_path / "a.mp4")
    assert media.frames.shape == video.shape
    assert (media.fps, media.sample_rate) == (Fraction(24), RATE)
    assert media.samples.shape == audio.shape
    assert media.samples.dtype == np.float32
    error = np.abs(media.frames.astype(int) - video.astype(int)).mean()
    assert error < 12  # chroma is stored at half size, so the edges of the bar bleed
    heard = np.flatnonzero(np.abs(media.samples) > 0.2)
    assert abs(heard[0] - 0.9 * RATE) < 40
    assert abs(heard[-1] - 1.1 * RATE) < 40
    assert np.corrcoef(media.samples, audio)[0, 1] > 0.99


@pytest.mark.parametrize(("frames", "samples"), [(1, 1), (5, 1024), (13, 8_667), (49, 33_279)])
def test_lengths_are_exact(tmp_path, frames, samples):
    video, audio = clip(frames=frames, samples=samples)
    write_mp4(tmp_path / "a.mp4", video, 24, audio, RATE)
    media = read_mp4(tmp_path / "a.mp4")
    assert (len(media.frames), len(media.samples)) == (frames, samples)


def test_same_bytes_each_time(tmp_path):
    written = set()
    for i in range(20):
        # Memory that the encoder gets next holds something else each time.
        _ = [bytes([i * 37 % 256]) * (100_000 + i * 1_000) for _ in range(20)]
        write_mp4(tmp_path / "a.mp4", *_arguments())
        written.add((tmp_path / "a.mp4").read_bytes())
    assert len(written) == 1


def _arguments():
    video, audio = clip(frames=13, samples=9_000)
    return video, 24, audio, RATE


def test_index_comes_first(tmp_path):
    write_mp4(tmp_path / "a.mp4", *_arguments())
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")


def test_upscaling_repeats_pixels(tmp_path):
    video, audio = clip(frames=3)
    write_mp4(tmp_path / "a.mp4", video, 24, audio, RATE, upscale=4, crf=0)
    frames = read_mp4(tmp_path / "a.mp4").frames
    assert frames.shape == (3, 256, 256, 3)
    np.testing.assert_allclose(frames[:, ::4, ::4].astype(int), frames[:, 3::4, 3::4].astype(int), atol=2)
    assert np.abs(frames[:, 1::4, 1::4].astype(int) - video).max() <= 6


def test_picture_or_sound_alone(tmp_path):
    video, audio = clip(frames=5, samples=4_000)
    write_mp4(tmp_path / "v.mp4", video, 24, None, RATE)
    write_mp4(tmp_path / "a.mp4", None, 24, audio, RATE)
    silent, blind = read_mp4(tmp_path / "v.mp4"), read_mp4(tmp_path / "a.mp4")
    assert (len(silent.frames), len(silent.samples)) == (5, 0)
    assert (len(blind.frames), len(blind.samples)) == (0, 4_000)


def test_fractional_frame_rate(tmp_path):
    video, audio = clip(frames=5, samples=4_000)
    write_mp4(tmp_path / "a.mp4", video, 30_000 / 1001, audio, RATE)
    assert read_mp4(tmp_path / "a.mp4").fps == Fraction(30_000, 1001)


def test_loud_samples_are_clipped(tmp_path):
    video, _ = clip(frames=5)
    for name, factor in (("loud.mp4", 8.0), ("full.mp4", 1.0)):
        signal = np.sign(np.sin(np.arange(4_000) / 9)).astype(np.float32) * factor
        write_mp4(tmp_path / name, video, 24, signal, RATE)
    assert (tmp_path / "loud.mp4").read_bytes() == (tmp_path / "full.mp4").read_bytes()


def bad(frames=None, samples=None, **changes):
    video, audio = clip(frames=2, samples=2_000)
    return (video if frames is None else frames, audio if samples is None else samples, changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(frames=np.zeros((2, 64, 64, 3))), "uint8"),
        (bad(frames=np.zeros((64, 64, 3), np.uint8)), "uint8"),
        (bad(frames=np.zeros((0, 64, 64, 3), np.uint8)), "uint8"),
        (bad(frames=np.zeros((2, 63, 64, 3), np.uint8)), "even frame sizes, got 64 x 63"),
        (bad(samples=np.zeros((3, 2_000), np.float32)), "floats"),
        (bad(samples=np.zeros(2_000, np.int16)), "floats"),
        (bad(samples=np.zeros((2, 0), np.float32)), "no samples"),
        (bad(samples=np.full(2_000, np.nan, np.float32)), "not finite"),
        (bad(upscale=0), "whole factor"),
    ],
)
def test_bad_arrays_write_nothing(tmp_path, arguments, message):
    frames, samples, changes = arguments
    with pytest.raises(InputError, match=message):
        write_mp4(tmp_path / "a.mp4", frames, 24, samples, RATE, **changes)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="nothing to write"):
        write_mp4(tmp_path / "a.mp4", None, 24, None, RATE)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    write_mp4(path, *_arguments())
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("nava.generation.media._audio_frames", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_mp4(path, *_arguments())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_unreadable_files(tmp_path):
    garbage, cut = tmp_path / "garbage.mp4", tmp_path / "cut.mp4"
    garbage.write_text("not a video")
    write_mp4(cut, *_arguments())
    cut.write_bytes(cut.read_bytes()[:500])
    for path in (garbage, cut, tmp_path / "missing.mp4"):
        with pytest.raises(InputError, match=f"{path.name} cannot be decoded"):
            read_mp4(path)


def two_channels(samples=12_000):
    """A low tone on the left, a high one on the right."""
    time = np.arange(samples) / RATE
    return np.stack([0.5 * np.sin(2 * np.pi * hertz * time) for hertz in (220, 1_760)]).astype(np.float32)


def opened(path):
    """Rate, number of channels, samples [channels, N] and tags of a file's sound, as PyAV sees them."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        parts = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
        return stream.rate, stream.channels, np.concatenate(parts, axis=1), dict(container.metadata)


@pytest.mark.parametrize("suffix", ["mp4", "wav"])
def test_left_stays_left_and_right_stays_right(tmp_path, suffix):
    path, samples = tmp_path / f"a.{suffix}", two_channels()
    if suffix == "mp4":
        write_mp4(path, clip(frames=18)[0], 24, samples, RATE)
    else:
        write_wav(path, samples, RATE)
    rate, channels, found, _ = opened(path)
    assert (rate, channels) == (RATE, 2)
    assert np.corrcoef(found[0, : samples.shape[1]], samples[0])[0, 1] > 0.99
    assert np.corrcoef(found[1, : samples.shape[1]], samples[1])[0, 1] > 0.99


def test_a_wav_holds_exactly_what_it_was_given(tmp_path):
    samples = two_channels(7_777)
    write_wav(tmp_path / "a.wav", samples * 3, RATE)
    rate, channels, found, _ = opened(tmp_path / "a.wav")
    assert (rate, channels, found.shape) == (RATE, 2, (2, 7_777))
    np.testing.assert_allclose(found, (samples * 3).clip(-1, 1), atol=1e-4)
    write_wav(tmp_path / "mono.wav", samples[0], RATE)
    assert opened(tmp_path / "mono.wav")[1] == 1


@pytest.mark.parametrize("suffix", ["mp4", "wav"])
def test_tags_are_written_and_equal_input_still_gives_equal_bytes(tmp_path, suffix):
    tags = {"title": "Rain – a café\nat night", "comment": '{"seed": 7}'}
    written = set()
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "mp4":
            write_mp4(path, *_arguments(), tags=tags)
        else:
            write_wav(path, two_channels(), RATE, tags=tags)
        written.add(path.read_bytes())
    assert len(written) == 1
    assert opened(tmp_path / f"a.{suffix}")[3].items() >= tags.items()


def test_a_wav_of_bad_samples_is_not_written(tmp_path):
    for samples in (np.zeros((3, 9), np.float32), np.full(9, np.inf, np.float32), np.zeros(0, np.float32)):
        with pytest.raises(InputError):
            write_wav(tmp_path / "a.wav", samples, RATE)
    assert list(tmp_path.iterdir()) == []
