"""The embedded timbre encoder: fixed numbers, what does not count, and voices told apart."""

import importlib.util
import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nava.conditioning.mel_statistics import MelStatisticsEncoder, _pitches, _projection
from nava.conditioning.timbre import load_timbre_encoder
from nava.runtime.errors import InputError

ENCODER = MelStatisticsEncoder()
RATE_HZ = 16_000


def tone(pitch_hz: float, seconds: float = 2.0, tilt: float = 1.0, seed: int = 0) -> Tensor:
    """Harmonics that fall with ``1 / order ** tilt``, swelling four times a second, over a little noise."""
    time_N = torch.arange(int(seconds * RATE_HZ), dtype=torch.float64) / RATE_HZ
    orders = range(1, int(7000 / pitch_hz))
    sound_N = sum(torch.sin(2 * math.pi * pitch_hz * order * time_N + order) / order**tilt for order in orders)
    sound_N = sound_N * (1.1 + torch.sin(2 * math.pi * 4 * time_N))
    noise_N = torch.randn(len(time_N), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.1 * sound_N + 1e-3 * noise_N).float()


def cosine(one: Tensor, other: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


def test_a_unit_vector_of_192() -> None:
    vector = ENCODER.encode(tone(150))
    assert vector.shape == (192,)
    assert vector.dtype == torch.float32
    assert vector.norm().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(vector, MelStatisticsEncoder().encode(tone(150)))


@pytest.mark.parametrize("pitch_hz", [75.0, 110.0, 180.0, 260.0, 400.0])
def test_pitch_is_found(pitch_hz: float) -> None:
    found = _pitches(tone(pitch_hz).double())
    assert len(found) > 100
    assert ((found / pitch_hz).log2().abs() < 0.04).float().mean() > 0.95


def test_noise_has_no_pitch() -> None:
    noise = torch.randn(2 * RATE_HZ, generator=torch.Generator().manual_seed(0))
    assert len(_pitches(noise.double())) < 5
    assert torch.isfinite(ENCODER.encode(noise)).all()


def test_loudness_and_channels_do_not_count() -> None:
    voice = tone(150)
    assert cosine(ENCODER.encode(voice), ENCODER.encode(0.1 * voice)) > 0.9999
    assert cosine(ENCODER.encode(voice), ENCODER.encode(torch.stack([voice, voice]))) > 0.9999


def test_pitch_and_colour_count() -> None:
    voice = ENCODER.encode(tone(150))
    assert cosine(voice, ENCODER.encode(tone(150, seed=1))) > 0.999
    assert cosine(voice, ENCODER.encode(tone(240))) < 0.95
    assert cosine(voice, ENCODER.encode(tone(150, tilt=0.3))) < 0.99


def test_the_projection_keeps_cosines() -> None:
    matrix = _projection(76)
    assert matrix.shape == (192, 76)
    assert torch.allclose(matrix.T @ matrix, torch.eye(76, dtype=matrix.dtype), atol=1e-12)


@pytest.mark.parametrize("samples", [tone(150)[:1600], torch.zeros(2 * RATE_HZ)])
def test_too_little_sound(samples: Tensor) -> None:
    with pytest.raises(InputError, match=r"0\.10 s long|silent"):
        ENCODER.encode(samples)


def test_save_and_load(tmp_path: Path) -> None:
    ENCODER.save(tmp_path)
    loaded = load_timbre_encoder(tmp_path)
    assert loaded.identity == ENCODER.identity
    assert (loaded.width, loaded.sample_rate_hz) == (192, RATE_HZ)


@pytest.fixture(scope="module")
def voices() -> dict[str, list[Tensor]]:
    """Three utterances of each of six synthetic speakers, no sentence twice."""
    if importlib.util.find_spec("espeakng_loader") is None:
        pytest.skip("espeak-ng is not installed (extra demo-media)")
    from scipy.signal import resample_poly

    from nava.data.synthetic.speech import SENTENCES, VOICES, speak

    def say(number: int, voice: int) -> Tensor:
        first = (voice + 4 * number) % len(SENTENCES)
        text = " ".join(SENTENCES[first : first + 2])
        return torch.from_numpy(resample_poly(speak(text, VOICES[voice], seed=number).samples_L, 320, 441).copy())

    return {
        voice.speaker: [ENCODER.encode(say(number, index)) for number in range(3)] for index, voice in enumerate(VOICES)
    }


def test_utterances_of_one_voice_are_nearer_than_voices(voices: dict[str, list[Tensor]]) -> None:
    said = [(speaker, vector) for speaker, vectors in voices.items() for vector in vectors]
    pairs = list(itertools.combinations(said, 2))
    same = torch.tensor([cosine(a[1], b[1]) for a, b in pairs if a[0] == b[0]])
    other = torch.tensor([cosine(a[1], b[1]) for a, b in pairs if a[0] != b[0]])
    assert len(same) == 18
    assert len(other) == 135
    assert same.mean() - other.mean() > 0.3
    # How often a pair of one voice is nearer than a pair of two.
    assert (same[:, None] > other[None]).float().mean() > 0.97


def test_each_utterance_is_nearest_to_its_own_voice(voices: dict[str, list[Tensor]]) -> None:
    wrong = 0
    for speaker, vectors in voices.items():
        for number, vector in enumerate(vectors):
            nearness = {
                other: max(
                    cosine(vector, them) for index, them in enumerate(theirs) if (other, index) != (speaker, number)
                )
                for other, theirs in voices.items()
            }
            wrong += max(nearness, key=nearness.__getitem__) != speaker
    assert wrong <= 1
