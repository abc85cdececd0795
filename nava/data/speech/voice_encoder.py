"""Vectors of short stretches of a voice, by which speakers are told apart."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from nava.artifacts.weight_files import WeightFile, locate
from nava.conditioning.mel_statistics import MelStatisticsEncoder
from nava.conditioning.redimnet import RedimnetEncoder
from nava.conditioning.reference_voice import MIN_S
from nava.conditioning.timbre import TimbreEncoder
from nava.config.speech import SpeakerConfig
from nava.latents.mel import MelAnalysis, mel_filters
from nava.runtime.errors import InputError

SAMPLE_RATE_HZ = 16_000
RESEMBLYZER = WeightFile(
    "pretrained.pt",
    "17 MB",
    "Apache-2.0",
    "resemble-ai/Resemblyzer",
    "it lies in the wheel of the package: pip install --no-deps Resemblyzer==0.1.4, or take resemblyzer/pretrained.pt "
    "out of the wheel",
)
_RESEMBLYZER_MEL = MelAnalysis(SAMPLE_RATE_HZ, window_samples=400, hop_samples=160, mel_bins=40)
_RESEMBLYZER_WIDTH = 256
_RESEMBLYZER_RMS = 10 ** (-30 / 20)  # quieter sound is brought up to -30 dB of full scale
_SILENCE_RMS = 1e-6
_LEVEL_RMS = 0.1


class VoiceEncoder(Protocol):
    """Stretches of a voice to vectors."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...

    @property
    def max_distance(self) -> float:
        """Cosine distance up to which two stretches of about half a second are one voice."""
        ...

    def encode(self, samples_BN: Tensor) -> Tensor:
        """Unit vectors [B, E] of stretches of equal length, mono, 16 kHz, none of them silent."""
        ...


class TimbreVoices:
    """A timbre encoder of the model's conditioning. It wants a second of sound: shorter stretches are repeated."""

    def __init__(self, encoder: TimbreEncoder, name: str, max_distance: float) -> None:
        self._encoder, self.name, self.max_distance = encoder, name, max_distance

    def encode(self, samples_BN: Tensor) -> Tensor:
        """See `VoiceEncoder.encode`."""
        repeats = math.ceil(MIN_S * SAMPLE_RATE_HZ / samples_BN.shape[1])
        level_B1 = samples_BN.square().mean(dim=1, keepdim=True).sqrt().clamp_min(_SILENCE_RMS)
        vectors = [self._encoder.encode(one_N.repeat(repeats)) for one_N in samples_BN * (_LEVEL_RMS / level_B1)]
        return nn.functional.normalize(torch.stack(vectors), dim=1)


class ResemblyzerVoices(nn.Module):
    """The GE2E speaker encoder that Resemblyzer publishes: three LSTM layers over 40 mel bands (Wan et al., 2018,
    "Generalized end-to-end loss for speaker verification", https://arxiv.org/abs/1710.10467).
    """

    name: ClassVar[str] = "resemblyzer"
    max_distance: ClassVar[float] = 0.32

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_RESEMBLYZER_MEL.mel_bins, _RESEMBLYZER_WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(_RESEMBLYZER_WIDTH, _RESEMBLYZER_WIDTH)

    @classmethod
    def open(cls, path: Path) -> ResemblyzerVoices:
        """Load the published weights.

        Raises:
            InputError: the file does not hold them.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            encoder = cls()
            wanted = encoder.state_dict().keys()
            encoder.load_state_dict({name: tensor for name, tensor in state.items() if name in wanted})
        except Exception as error:  # pickle, zip, and tensor names have an exception each
            reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
            raise InputError(f"{path} does not hold Resemblyzer's weights: {reason}") from error
        return encoder.eval().requires_grad_(False)

    @torch.no_grad()
    def encode(self, samples_BN: Tensor) -> Tensor:
        """See `VoiceEncoder.encode`."""
        level_B1 = samples_BN.square().mean(dim=1, keepdim=True).sqrt().clamp_min(_SILENCE_RMS)
        louder_BN = samples_BN * (_RESEMBLYZER_RMS / level_B1).clamp_min(1.0)
        _, (hidden_LBE, _) = self.lstm(_power_mel(louder_BN))
        return nn.functional.normalize(torch.relu(self.linear(hidden_LBE[-1])), dim=1)


def _power_mel(samples_BN: Tensor) -> Tensor:
    """Mel powers [B, T, 40], not their logarithms: what the encoder was trained on."""
    analysis = _RESEMBLYZER_MEL
    spectrum_BFT = torch.stft(
        samples_BN,
        analysis.window_samples,
        analysis.hop_samples,
        window=torch.hann_window(analysis.window_samples),
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum_BFT.abs().square().transpose(1, 2) @ mel_filters(analysis).T


def build_voice_encoder(config: SpeakerConfig) -> VoiceEncoder:
    """The encoder that the settings name, loaded.

    Raises:
        InputError: its weights are missing or cannot be read; the message says how to obtain them.
    """
    cache = Path(config.weights_cache) if config.weights_cache else None
    match config.encoder:
        case "mel_statistics":
            return TimbreVoices(MelStatisticsEncoder(), "mel_statistics", 0.45)
        case "redimnet":
            # Its own distance was never measured here: the settings have to give one.
            return TimbreVoices(RedimnetEncoder.open(config.weights, cache), "redimnet", config.max_distance)
        case "resemblyzer":
            return ResemblyzerVoices.open(locate(RESEMBLYZER, config.weights or _installed(), cache))
    raise InputError(f"speech.speakers.encoder is {config.encoder!r}, which is no voice encoder")


def _installed() -> Path:
    """The folder of the installed package, which is not imported; a folder that is not there where it is missing."""
    spec = find_spec("resemblyzer")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else Path("resemblyzer")
