"""Sounds as vectors by PANNs' CNN14 at 16 kHz (arXiv 1912.10211), for Fréchet distances as av-benchmark has them.

Structure and tensor names are those of `Cnn14_16k_mAP=0.438.pth`, which holds the Fourier transform and the mel filters
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nava.artifacts.torch_checkpoint import read_torch_checkpoint
from nava.artifacts.weight_files import WeightFile, locate
from nava.evaluation.backends.avbench_sound import beginning
from nava.evaluation.backends.renamed_weights import filled
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.runtime.errors import InputError

CHECKPOINT = WeightFile(
    "Cnn14_16k_mAP=0.438.pth",
    "about 325 MB",
    "CC-BY-4.0",
    "qiuqiangkong/audioset_tagging_cnn",
    "download it from https://zenodo.org/record/3987831",
)
TRANSFORM, HOP, MEL_BINS = 512, 160, 64
_FLOOR = 1e-10
POOLINGS = 5  # each halves time and bands


@dataclass(frozen=True)
class Cnn14Size:
    """Sizes of a network; those by default are published.

    Attributes:
        channels: of the six blocks; the last is the width of the embedding.
        classes: of AudioSet.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    classes: int = 527


class _Block(nn.Module):
    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(source, target, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(target, target, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(target), nn.BatchNorm2d(target)

    def forward(self, picture_BCTM: Tensor) -> Tensor:
        picture_BCTM = functional.relu(self.bn1(self.conv1(picture_BCTM)))
        return functional.relu(self.bn2(self.conv2(picture_BCTM)))


class Cnn14(nn.Module):
    """Samples to an embedding."""

    def __init__(self, size: Cnn14Size | None = None) -> None:
        super().__init__()
        size = size or Cnn14Size()
        bins, width = TRANSFORM // 2 + 1, size.channels[-1]
        waves = {name: nn.Conv1d(1, bins, TRANSFORM, HOP, bias=False) for name in ("conv_real", "conv_imag")}
        self.spectrogram_extractor = nn.ModuleDict({"stft": nn.ModuleDict(waves)})
        self.logmel_extractor = nn.ParameterDict({"melW": torch.zeros(bins, MEL_BINS)})
        self.bn0 = nn.BatchNorm2d(MEL_BINS)
        for number, (source, target) in enumerate(zip((1, *size.channels), size.channels, strict=False), start=1):
            self.add_module(f"conv_block{number}", _Block(source, target))
        self._blocks = len(size.channels)
        self.fc1 = nn.Linear(width, width)
        # Part of the file; nothing here asks it.
        self.fc_audioset = nn.Linear(width, size.classes)

    def forward(self, samples_N: Tensor) -> Tensor:
        """Embedding [D] of 16 kHz samples, of which there are `MIN_SAMPLES` or more."""
        picture_1MT1 = self._log_mel(samples_N).T[None, :, :, None]
        hidden_1CTM = self.bn0(picture_1MT1).permute(0, 3, 2, 1)
        for number in range(1, self._blocks + 1):
            hidden_1CTM = self.get_submodule(f"conv_block{number}")(hidden_1CTM)
            if number <= POOLINGS:
                hidden_1CTM = functional.avg_pool2d(hidden_1CTM, 2)
        over_time_CT = hidden_1CTM.mean(dim=3)[0]
        embedding_D: Tensor = functional.relu(self.fc1(over_time_CT.amax(dim=1) + over_time_CT.mean(dim=1)))
        return embedding_D

    def _log_mel(self, samples_N: Tensor) -> Tensor:
        """Decibels [1 + N // 160, 64]."""
        padded_11N = functional.pad(samples_N[None, None], (TRANSFORM // 2, TRANSFORM // 2), mode="reflect")
        waves = self.spectrogram_extractor["stft"]
        assert isinstance(waves, nn.ModuleDict)
        power_FT = waves["conv_real"](padded_11N)[0] ** 2 + waves["conv_imag"](padded_11N)[0] ** 2
        return 10 * torch.log10((power_FT.T @ self.logmel_extractor["melW"]).clamp_min(_FLOOR))


MIN_SAMPLES = (2**POOLINGS - 1) * HOP


class PannsCnn14:
    """One embedding of the first 10 s of a clip.

    Args:
        weights: `Cnn14_16k_mAP=0.438.pth`, or its folder.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: the file is missing, is another, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        path = locate(CHECKPOINT, weights)
        self.weights_sha256 = verified_sha256("panns_cnn14_16k", weights, sha256)
        self._network = filled(self.build, read_panns(path), lambda _network, name: name, path, device)
        self._device = device

    @staticmethod
    def build() -> Cnn14:
        """The network at its published size, without weights."""
        return Cnn14()

    def extract(self, clip: ClipFile) -> Features:
        """`embedding_D` [2048]."""
        samples_N = beginning(clip, SPEECH_RATE_HZ)
        if len(samples_N) < MIN_SAMPLES:
            lasts, least = (count / SPEECH_RATE_HZ for count in (len(samples_N), MIN_SAMPLES))
            raise UnmeasurableError(f"the sound lasts {lasts:.2f} s; CNN14 needs {least:.2f} s")
        with torch.inference_mode():
            embedding_D = self._network(torch.from_numpy(samples_N).to(self._device))
        return Features(arrays={"embedding_D": embedding_D.cpu().numpy()})


def read_panns(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint of PANNs.

    Beside them lies the state of the sampler, NumPy arrays, which are let pass and not used.

    Raises:
        InputError: the file holds something else.
    """
    with torch.serialization.safe_globals(_numpy_arrays()):
        value = read_torch_checkpoint(path)
    tensors = value.get("model") if isinstance(value, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{path} has no tensors under 'model': it is not {CHECKPOINT.file}")
    return {str(name): tensor for name, tensor in tensors.items()}


def _numpy_arrays() -> list[Any]:
    """What a pickled array is made of, by its names before and since NumPy 2."""
    import numpy as np
    from numpy._core.multiarray import _reconstruct, scalar

    names = [
        (made, f"numpy.{core}.multiarray.{made.__name__}")
        for core in ("core", "_core")
        for made in (_reconstruct, scalar)
    ]
    return [*names, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in (np.int64, np.int32, np.float64, bool))]
