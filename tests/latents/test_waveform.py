"""Sound files to samples: rates, channels, lengths, and what is no sound."""

import math
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from nava.latents.mel_pca import MelPcaCodec
from nava.latents.waveform import decode_mono, load_voice, load_waveform, mix
from nava.runtime.errors import InputError
from tests.latents.conftest import FlashSet


def tone(seconds: float, rate_hz: int, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * math.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_wav(path: Path, channels_CN: np.ndarray, rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels_CN))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((channels_CN.T * 32_767).round().astype("<i2").tobytes())
    return path


def write_av(path: Path, codec: str, channels_CN: np.ndarray, rate_hz: int, layout: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels_CN), format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 8_000, 44_101])
def test_a_file_is_brought_to_the_wanted_rate(tmp_path: Path, rate_hz: int) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0, rate_hz)[None], rate_hz)
    samples = load_waveform(path, 16_000, 1)
    assert abs(samples.shape[1] - 16_000) <= 16
    assert samples.dtype == torch.float32
    assert samples.is_contiguous()
    wanted = torch.from_numpy(tone(1.0, 16_000))
    assert (samples[0, 400:15_000] - wanted[400:15_000]).abs().max() < 0.01


def test_mono_is_played_on_both_channels(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(0.5, 16_000)[None], 16_000)
    samples = load_waveform(path, 16_000, 2)
    assert samples.shape == (2, 8_000)
    assert torch.equal(samples[0], samples[1])


def test_stereo_keeps_its_sides_and_mono_is_their_mean(tmp_path: Path) -> None:
    left, right = tone(0.5, 16_000), np.zeros(8_000, dtype=np.float32)
    path = write_wav(tmp_path / "a.wav", np.stack([left, right]), 16_000)
    stereo = load_waveform(path, 16_000, 2)
    assert torch.allclose(stereo[0], torch.from_numpy(left), atol=1e-4)
    assert stereo[1].abs().max() == 0
    assert torch.allclose(load_waveform(path, 16_000, 1)[0], stereo[0] / 2)


@pytest.mark.parametrize(
    ("channels", "left", "right"),
    [
        (5, {0: 1.0, 2: 0.7071068, 3: 0.7071068}, {1: 1.0, 2: 0.7071068, 4: 0.7071068}),
        (6, {0: 1.0, 2: 0.7071068, 4: 0.7071068}, {1: 1.0, 2: 0.7071068, 5: 0.7071068}),
        (
            8,
            {0: 1.0, 2: 0.7071068, 4: 0.7071068, 6: 0.7071068},
            {1: 1.0, 2: 0.7071068, 5: 0.7071068, 7: 0.7071068},
        ),
    ],
)
def test_surround_is_mixed_down_by_bs775(channels: int, left: dict[int, float], right: dict[int, float]) -> None:
    """Each channel alone goes where the recommendation puts it; the low frequency channel goes nowhere."""
    mixed = mix(torch.eye(channels), 2)
    for side, weights in enumerate((left, right)):
        wanted = torch.tensor([weights.get(channel, 0.0) for channel in range(channels)])
        assert torch.allclose(mixed[side], wanted)


def test_other_layouts_become_their_mean() -> None:
    assert torch.equal(mix(torch.eye(4), 2), torch.full((2, 4), 0.25))
    assert torch.allclose(mix(torch.eye(6), 1), torch.full((1, 6), 1 / 6))
    with pytest.raises(ValueError, match="1 or 2 channels, not 3"):
        mix(torch.eye(2), 3)


@pytest.mark.parametrize(("layout", "channels"), [("5.0", 5), ("5.1", 6), ("7.1", 8)])
def test_surround_files(tmp_path: Path, layout: str, channels: int) -> None:
    """Only the front left channel sounds, so only the left side does."""
    sound = np.zeros((channels, 16_000), dtype=np.float32)
    sound[0] = tone(1.0, 16_000)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000, layout=layout)
        frame = av.AudioFrame.from_ndarray(sound.T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    stereo = load_waveform(tmp_path / "a.wav", 16_000, 2)
    assert torch.allclose(stereo[0], torch.from_numpy(sound[0]), atol=1e-5)
    assert stereo[1].abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "codec"), [("a.flac", "flac"), ("a.m4a", "aac"), ("a.mp3", "mp3"), ("a.ogg", "libopus")]
)
def test_compressed_files(tmp_path: Path, name: str, codec: str) -> None:
    sound = np.stack([tone(1.5, 48_000)] * 2)
    if codec == "flac":
        sound = (sound * 32_767).astype(np.int16)
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=48_000, layout="stereo", format="s16")
            frame = av.AudioFrame.from_ndarray(sound.T.reshape(1, -1).copy(), format="s16", layout="stereo")
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        write_av(tmp_path / name, codec, sound, 48_000, "stereo")
    samples = load_waveform(tmp_path / name, 16_000, 2)
    assert abs(samples.shape[1] - 24_000) < 1_500
    assert 0.3 < samples[:, 4_000:20_000].abs().max() < 0.6


def test_sound_of_a_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=24)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for _ in range(24):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        samples = av.AudioFrame.from_ndarray(tone(1.0, 48_000)[None], format="fltp", layout="mono")
        samples.sample_rate = 48_000
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    assert abs(load_waveform(path, 16_000, 1).shape[1] - 16_000) < 1_000


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(3.0, 48_000)[None], 48_000)
    whole, part = load_waveform(path, 16_000, 1), load_waveform(path, 16_000, 1, max_s=1.25)
    assert (whole.shape[1], part.shape[1]) == (48_000, 20_000)
    assert torch.allclose(part[:, :19_900], whole[:, :19_900], atol=1e-6)


def test_a_voice_is_mono_and_30_s_at_most(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.stack([tone(31.0, 8_000)] * 2), 8_000)
    assert load_voice(path, 16_000).shape == (480_000,)


def test_a_voice_needs_a_second(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(0.1, 16_000)[None], 16_000)
    with pytest.raises(InputError) as caught:
        load_voice(path, 16_000)
    assert str(caught.value) == "a.wav is 0.1 s long; a voice needs at least 1 s"
    assert load_waveform(path, 16_000, 1).shape == (1, 1_600)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros((1, 0), dtype=np.float32), 16_000)
    with pytest.raises(InputError, match=r"a\.wav (holds no sound|is not a sound file)"):
        load_waveform(path, 16_000, 1)


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"a\.mp4 has no sound"):
        load_waveform(path, 16_000, 1)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 100])
def test_what_is_no_sound_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.wav is not a sound file that can be read") as caught:
        load_waveform(path, 16_000, 1)
    assert "\n" not in str(caught.value)


def test_a_playlist_does_not_lead_to_other_files(tmp_path: Path) -> None:
    write_wav(tmp_path / "secret.wav", tone(1.0, 16_000)[None], 16_000)
    playlist = tmp_path / "a.wav"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="is not a sound file"):
        load_waveform(playlist, 16_000, 1)
    playlist.write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n")
    with pytest.raises(InputError, match="is not a sound file"):
        load_waveform(playlist, 16_000, 1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no sound file at '.*nothing\.wav'"):
        load_voice(tmp_path / "nothing.wav", 16_000)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"the sound file '.*' cannot be opened: |there is no sound file at"):
        load_waveform(tmp_path / name, 16_000, 1)


def test_decoded_sound_as_mono(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    """The embedded codec's sound is as it was; a stereo codec's is the mean at the rate of its input."""
    latent = mel_pca.encode(flashes.held_out_samples[:2])
    assert torch.equal(decode_mono(mel_pca, latent), mel_pca.decode(latent))

    class Stereo:
        sound_channels, sample_rate_hz, output_sample_rate_hz = 2, 16_000, 48_000

        def decode(self, latent_BLC: Tensor) -> Tensor:
            sound = torch.from_numpy(tone(0.5, 48_000))
            return torch.stack([sound, torch.zeros_like(sound)])[None]

    mono = decode_mono(Stereo(), latent)
    assert mono.shape == (1, 8_000)
    assert torch.allclose(mono[0, 200:-200], torch.from_numpy(tone(0.5, 16_000))[200:-200] / 2, atol=2e-3)
