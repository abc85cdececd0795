"""PCA of log-mel groups: the embedded audio codec, 25 latents per second of 16 kHz mono sound."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from nava.config.latents import AudioCodecConfig
from nava.latents.blocks import channel_scale
from nava.latents.codec_files import CodecFiles, read_codec, write_codec
from nava.latents.mel import MelAnalysis, griffin_lim, magnitudes_of_mel
from nava.runtime.errors import InputError

DECODE_CLIPS = 4
# Settings that a decoder needs; the others only steer the fit and are not part of the codec.
DECODER_SETTINGS = (
    "sample_rate_hz",
    "window_samples",
    "hop_samples",
    "mel_bins",
    "frames_per_latent",
    "mel_floor",
    "gate_ratio",
    "nnls_iterations",
    "griffin_lim_iterations",
    "griffin_lim_momentum",
    "griffin_lim_seed",
)


class MelPcaCodec:
    """Four log-mel frames to one latent by PCA; sound is invented back by NNLS and fast Griffin-Lim.

    Phase is not coded, so waveforms differ while envelopes and spectra agree: never score this codec by SI-SDR.
    """

    type_name: ClassVar[str] = "mel_pca"
    sound_channels = 1

    def __init__(self, basis_CD: Tensor, mean_D: Tensor, scale_C: Tensor, settings: dict[str, Any]) -> None:
        """``D`` is ``mel_bins * frames_per_latent``, mel bin major; ``settings`` are ``DECODER_SETTINGS``."""
        if missing := set(DECODER_SETTINGS) - settings.keys():
            raise InputError(f"audio codec settings lack {', '.join(sorted(missing))}")
        self.settings = {name: settings[name] for name in DECODER_SETTINGS}
        self.analysis = MelAnalysis(
            settings["sample_rate_hz"], settings["window_samples"], settings["hop_samples"], settings["mel_bins"]
        )
        size = settings["mel_bins"] * settings["frames_per_latent"]
        if basis_CD.shape[1:] != (size,) or mean_D.shape != (size,) or scale_C.shape != basis_CD.shape[:1]:
            raise InputError(
                f"a group has {size} values, but basis, mean and scale have shapes "
                f"{tuple(basis_CD.shape)}, {tuple(mean_D.shape)}, {tuple(scale_C.shape)}"
            )
        self.channels = basis_CD.shape[0]
        self.sample_rate_hz = int(settings["sample_rate_hz"])
        self.samples_per_latent = int(settings["hop_samples"] * settings["frames_per_latent"])
        # Contiguous, because a product with a transposed view rounds differently from one with a loaded tensor.
        self.basis_CD = basis_CD.float().contiguous()
        self.mean_D, self.scale_C = mean_D.float(), scale_C.float()

    @classmethod
    def fit(cls, samples_BN: Iterable[Tensor], config: AudioCodecConfig) -> Self:
        """Fit on batches of float32 samples in [-1, 1] (exact eigenvectors: no seed).

        Raises:
            InputError: less sound than the wanted number of channels needs.
        """
        analysis = MelAnalysis(config.sample_rate_hz, config.window_samples, config.hop_samples, config.mel_bins)
        groups = [
            log_mel_groups(batch_BN, analysis, config.mel_floor, config.frames_per_latent).flatten(0, 1)
            for batch_BN in samples_BN
        ]
        count = sum(len(group) for group in groups)
        if count < 2 * config.channels:
            raise InputError(
                f"{count} audio latents are too few to fit {config.channels} channels; "
                "give the codec more sound or fewer channels"
            )
        groups_ND = torch.cat(groups)
        mean_D = groups_ND.mean(dim=0)
        centred_ND = (groups_ND - mean_D).double()
        variance_D, vectors_DD = torch.linalg.eigh(centred_ND.T @ centred_ND / count)
        basis_CD = vectors_DD.flip(1)[:, : config.channels].T.float()
        largest = basis_CD.gather(1, basis_CD.abs().argmax(dim=1, keepdim=True))
        deviation_C = variance_D.flip(0)[: config.channels].clamp_min(0).sqrt().float()
        scale_C = channel_scale(deviation_C, config.whitening) / config.latent_gain
        return cls(basis_CD * largest.sign(), mean_D, scale_C, asdict(config))

    @cached_property
    def identity(self) -> str:
        """sha256 of settings and weights."""
        return self._files().identity

    @property
    def output_sample_rate_hz(self) -> int:
        """The rate of what was encoded."""
        return self.sample_rate_hz

    def latent_shape(self, samples: int) -> tuple[int, int]:
        """Shape (L, C): a last, incomplete latent is filled with silence."""
        if samples < 1:
            raise InputError(f"a clip needs at least 1 sample of sound, got {samples}")
        return -(-samples // self.samples_per_latent), self.channels

    def encode(self, samples: Tensor) -> Tensor:
        """float32 samples in [-1, 1], [B, N] or [B, 1, N], to float32 latents [B, L, C]."""
        samples_BN = samples[:, 0] if samples.ndim == 3 and samples.shape[1] == 1 else samples
        if samples_BN.ndim != 2 or not samples_BN.is_floating_point():
            raise InputError(
                f"samples must be floating point of shape [B, N], got {samples.dtype} {list(samples.shape)}"
            )
        self.latent_shape(samples_BN.shape[1])
        groups_BLD = log_mel_groups(
            samples_BN.float(), self.analysis, self.settings["mel_floor"], self.settings["frames_per_latent"]
        )
        return (groups_BLD - self.mean_D) @ (self.basis_CD / self.scale_C[:, None]).T

    def decode_mel(self, latent_BLC: Tensor) -> Tensor:
        """Latents to mel amplitudes [B, L * frames_per_latent, mel_bins]; what lies near the floor is zero."""
        if latent_BLC.ndim != 3 or latent_BLC.shape[2] != self.channels:
            raise InputError(f"latents must have shape [B, L, {self.channels}], got {list(latent_BLC.shape)}")
        groups_BLD = (latent_BLC.float() * self.scale_C) @ self.basis_CD + self.mean_D
        frames, bins = self.settings["frames_per_latent"], self.settings["mel_bins"]
        mel_BTM = groups_BLD.unflatten(-1, (bins, frames)).transpose(2, 3).flatten(1, 2).exp()
        return mel_BTM * (mel_BTM >= self.settings["gate_ratio"] * self.settings["mel_floor"])

    def decode(self, latent_BLC: Tensor) -> Tensor:
        """Latents [B, L, C] to float32 samples in [-1, 1], [B, L * 640]."""
        # A few clips at a time keep the spectra in the processor's cache.
        chunks = self.decode_mel(latent_BLC).split(DECODE_CLIPS)
        return torch.cat([self._samples_of_mel(mel_BTM) for mel_BTM in chunks])

    def save(self, directory: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        write_codec(directory, self._files())

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Self:
        """Read what ``save`` wrote and verify its digest; its weights lie there too, wherever others may be."""
        files = read_codec(directory, cls.type_name)
        return cls(files.tensors["basis_CD"], files.tensors["mean_D"], files.tensors["scale_C"], files.settings)

    def _samples_of_mel(self, mel_BTM: Tensor) -> Tensor:
        magnitude_RF = magnitudes_of_mel(mel_BTM.flatten(0, 1), self.analysis, self.settings["nnls_iterations"])
        samples_BN = griffin_lim(
            magnitude_RF.unflatten(0, mel_BTM.shape[:2]),
            self.analysis,
            self.settings["griffin_lim_iterations"],
            self.settings["griffin_lim_momentum"],
            self.settings["griffin_lim_seed"],
        )
        return samples_BN.clamp_(-1, 1)

    def _files(self) -> CodecFiles:
        tensors = {"basis_CD": self.basis_CD, "mean_D": self.mean_D, "scale_C": self.scale_C}
        return CodecFiles(self.type_name, self.settings, tensors)


def log_mel_groups(samples_BN: Tensor, analysis: MelAnalysis, floor: float, frames_per_latent: int) -> Tensor:
    """Samples [B, N], filled with silence to whole groups, to floored log-mel groups [B, L, mel_bins * frames]."""
    samples_per_group = analysis.hop_samples * frames_per_latent
    missing = -samples_BN.shape[1] % samples_per_group
    mel_BTM = analysis.mel(torch.nn.functional.pad(samples_BN, (0, missing)))
    return mel_BTM.clamp_min(floor).log().unflatten(1, (-1, frames_per_latent)).transpose(2, 3).flatten(2)
