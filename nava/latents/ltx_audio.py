"""The audio autoencoder of LTX-2.3 with its vocoder, by diffusers' classes with the tensors of the original file.

Stereo at 16 kHz becomes 25 latents of 128 channels a second by way of a log-mel spectrogram; the vocoder makes sound of
the decoded spectrogram and extends its bandwidth to 48 kHz. All of it runs in float32: in bfloat16 the errors of a
hundred convolutions in a row add up.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from nava.artifacts.weight_files import WEIGHT_FILES
from nava.artifacts.weight_reference import WeightReference
from nava.config.latents import AudioCodecConfig, LtxAudioConfig
from nava.latents.ltx_audio_config import FRAMES_PER_LATENT, STEREO, LtxArchitecture, architecture_of
from nava.latents.ltx_audio_keys import AUTOENCODER, VOCODER, diffusers_name, is_read
from nava.latents.published_weights import (
    Shapes,
    fill,
    find_weights,
    identity_of,
    load_referenced,
    open_safetensors,
    require_same_tensors,
    shapes_of,
    write_reference,
)
from nava.latents.resampling import resample
from nava.runtime.errors import InputError

WEIGHT = WEIGHT_FILES["ltx_audio_vae"]
LOG_FLOOR = 1e-5
# The release's decoder: brought down to the rate of the input, and cut just below full scale.
RELEASE_PEAK = 0.99


class LtxAudioCodec:
    """Stereo sound to latents and back. Results lie where inputs lay.

    A clip of L latents decodes to 4 L - 3 mel frames, so it is 30 ms shorter than the sound that L latents cover.
    """

    type_name: ClassVar[str] = "ltx_audio"
    sound_channels = STEREO

    def __init__(
        self,
        autoencoder: Any,
        vocoder: Any,
        architecture: LtxArchitecture,
        settings: LtxAudioConfig,
        reference: WeightReference,
    ) -> None:
        """Both models as ``load_models`` gives them; ``reference`` names the file that their weights came from."""
        settings.check("latents.audio.ltx")
        self.settings = settings
        self.reference = reference
        self.architecture = architecture
        self.channels = int(autoencoder.latents_mean.shape[0])
        self.sample_rate_hz = architecture.analysis.sample_rate_hz
        self.samples_per_latent = FRAMES_PER_LATENT * architecture.analysis.hop_samples
        self._autoencoder = autoencoder
        self._vocoder = vocoder

    @classmethod
    def build(cls, config: AudioCodecConfig) -> Self:
        """Make the codec from the weights at ``config.weights``.

        Raises:
            InputError: the file is missing, damaged, or asks for something that is not supported.
        """
        path = find_weights(WEIGHT, config.weights, config.weights_cache)
        return cls(*load_models(path), config.ltx, WeightReference.of(WEIGHT, path))

    @property
    def identity(self) -> str:
        """sha256 of the weights; the mode is no part of it, because it does not change latents."""
        return identity_of(self.type_name, {}, self.reference)

    @property
    def output_sample_rate_hz(self) -> int:
        """The vocoder's rate, or in ``release`` mode that of the input."""
        return self.sample_rate_hz if self.settings.mode == "release" else self.architecture.output_sample_rate_hz

    def to(self, device: str | torch.device) -> Self:
        """Move the weights."""
        self._autoencoder.to(device)
        self._vocoder.to(device)
        return self

    def latent_shape(self, samples: int) -> tuple[int, int]:
        """Shape (L, C): a last, incomplete latent is filled with silence."""
        if samples < 1:
            raise InputError(f"a clip needs at least 1 sample of sound, got {samples}")
        return -(-samples // self.samples_per_latent), self.channels

    @torch.no_grad()
    def encode(self, samples: Tensor) -> Tensor:
        """float32 samples in [-1, 1] at 16 kHz, [B, N] (mono) or [B, 2, N], to float32 latents [B, L, C]."""
        stereo = samples[:, None].expand(-1, STEREO, -1) if samples.ndim == 2 else samples
        if stereo.ndim != 3 or stereo.shape[1] != STEREO or not samples.is_floating_point():
            raise InputError(
                f"samples must be floating point of shape [B, N] or [B, {STEREO}, N], "
                f"got {samples.dtype} {list(samples.shape)}"
            )
        latents, _ = self.latent_shape(samples.shape[-1])
        with torch.autocast(self._device.type, enabled=False):
            moments_BCLM = self._autoencoder.encoder(self._log_mel(stereo.to(self._device).float()))
        # The first half of the channels is the mean. A signal of whole latents has one centred frame more than they
        # hold, which would begin another latent.
        mean_BCLM = moments_BCLM[:, : self._autoencoder.config.latent_channels, :latents]
        mean_BLC = mean_BCLM.transpose(1, 2).flatten(2)
        normalised_BLC = (mean_BLC - self._autoencoder.latents_mean) / self._autoencoder.latents_std
        return normalised_BLC.to(samples.device)

    @torch.no_grad()
    def decode(self, latent_BLC: Tensor) -> Tensor:
        """Latents [B, L, C] to float32 stereo in [-1, 1], [B, 2, N], at ``output_sample_rate_hz``."""
        if latent_BLC.ndim != 3 or latent_BLC.shape[1] < 1 or latent_BLC.shape[2] != self.channels:
            raise InputError(f"latents must have shape [B, L, {self.channels}], got {list(latent_BLC.shape)}")
        autoencoder = self._autoencoder
        raw_BLC = latent_BLC.to(self._device).float() * autoencoder.latents_std + autoencoder.latents_mean
        raw_BCLM = raw_BLC.unflatten(2, (-1, self.architecture.latent_bins)).transpose(1, 2)
        with torch.autocast(self._device.type, enabled=False):
            samples_BCN = self._vocoder(autoencoder.decoder(raw_BCLM))
        if self.settings.mode == "release":
            samples_BCN = resample(samples_BCN, self.architecture.output_sample_rate_hz, self.sample_rate_hz)
            samples_BCN = samples_BCN.clamp(-RELEASE_PEAK, RELEASE_PEAK)
        return samples_BCN.clamp(-1, 1).to(latent_BLC.device)

    def save(self, directory: Path) -> None:
        """Write ``config.json`` with a reference to the weight file, not the weights."""
        write_reference(directory, self.type_name, asdict(self.settings), self.reference, self.identity)

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Self:
        """Read what ``save`` wrote, find the weights and compare them with the reference; see ``load_referenced``."""
        return load_referenced(directory, cls.type_name, WEIGHT, (weights, cache), cls._of_file)

    @classmethod
    def _of_file(cls, path: Path, settings: dict[str, Any], reference: WeightReference) -> Self:
        return cls(*load_models(path), LtxAudioConfig(**settings), reference)

    def _log_mel(self, samples_BCN: Tensor) -> Tensor:
        """Log-mel spectrogram [B, 2, frames, bins]."""
        # The reflected ends of the analysis need some sound; less than one latent is filled with silence.
        missing = max(0, self.samples_per_latent - samples_BCN.shape[-1])
        padded_BCN = torch.nn.functional.pad(samples_BCN, (0, missing))
        mel_RTM = self.architecture.analysis.centred_mel(padded_BCN.flatten(0, 1))
        return mel_RTM.clamp_min(LOG_FLOOR).log().unflatten(0, samples_BCN.shape[:2])

    @property
    def _device(self) -> torch.device:
        return self._autoencoder.latents_mean.device


def load_models(path: Path) -> tuple[Any, Any, LtxArchitecture]:
    """``AutoencoderKLLTX2Audio`` and vocoder with the tensors of an original file, and what its metadata says.

    Raises:
        InputError: the file is damaged, has no metadata, or asks for something that is not supported.
    """
    from diffusers import AutoencoderKLLTX2Audio
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

    with open_safetensors(path) as file:
        architecture = architecture_of(file.metadata(), str(path))
        vocoder_class = LTX2VocoderWithBWE if architecture.extends_bandwidth else LTX2Vocoder
        names = {name: diffusers_name(name) or name for name in file.keys() if is_read(name)}  # noqa: SIM118
        published = {renamed: name for name, renamed in names.items()}
        given = {renamed: tuple(file.get_slice(name).get_shape()) for renamed, name in published.items()}

        def fill_from(prefix: str, build: Any) -> Any:
            part: Shapes = {name: shape for name, shape in given.items() if name.startswith(prefix)}
            with torch.device("meta"):
                wanted = {f"{prefix}{name}": shape for name, shape in shapes_of(build()).items()}
            require_same_tensors(path, part, wanted, published)
            tensors = ((name.removeprefix(prefix), file.get_tensor(published[name])) for name in part)
            return fill(build, tensors, torch.float32, torch.device("cpu"))

        autoencoder = fill_from(AUTOENCODER, lambda: AutoencoderKLLTX2Audio(**architecture.autoencoder))
        vocoder = fill_from(VOCODER, lambda: vocoder_class(**architecture.vocoder))
    if architecture.extends_bandwidth:
        _complete(vocoder)
    return autoencoder, vocoder, architecture


def _complete(vocoder: nn.Module) -> None:
    """Give the bandwidth extension what no file holds."""
    from diffusers.pipelines.ltx2.vocoder import UpSample1d

    config: Any = vocoder.config
    # The filter of the skip connection is computed, not stored; it was made without memory like all else.
    vocoder.resampler = UpSample1d(
        config.output_sampling_rate // config.input_sampling_rate, window_type="hann", persistent=False
    )
    # diffusers 0.42 pads a clip that is no whole number of hops by this attribute, and does not set it.
    vocoder.hop_length = config.hop_length
