"""Sounds as vectors by VGGish (arXiv 1609.09430), one per 0.96 s, for Fréchet distances as av-benchmark has them.

Structure and tensor names are those of `vggish-10086976.pth`, a port of Google's weights. As av-benchmark has it, the
last layer's output is taken as it is: no ReLU, no principal components, no rounding to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.artifacts.weight_files import WeightFile, locate
from nava.evaluation.backends.avbench_sound import beginning
from nava.evaluation.backends.renamed_weights import filled
from nava.evaluation.backends.vggish_input import EXAMPLE_FRAMES, MEL_BINS, MIN_SAMPLES, SAMPLE_RATE_HZ, examples
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError

CHECKPOINT = WeightFile(
    "vggish-10086976.pth",
    "289 MB",
    "Apache-2.0",
    "harritaylor/torchvggish",
    "download it from the release v0.1 of https://github.com/harritaylor/torchvggish",
)
# After which of the six convolutions the picture is halved.
_HALVED = (True, True, False, True, False, True)


@dataclass(frozen=True)
class VggishSize:
    """Sizes of a network; those by default are published."""

    channels: tuple[int, ...] = (64, 128, 256, 256, 512, 512)
    inner: int = 4096
    width: int = 128


class VggishNetwork(nn.Module):
    """Pictures to embeddings."""

    def __init__(self, size: VggishSize | None = None) -> None:
        super().__init__()
        size = size or VggishSize()
        layers: list[nn.Module] = []
        for source, target, halved in zip((1, *size.channels), size.channels, _HALVED, strict=False):
            layers += [nn.Conv2d(source, target, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if halved else []
        self.features = nn.Sequential(*layers)
        shrink = 2 ** sum(_HALVED)
        flat = size.channels[-1] * (EXAMPLE_FRAMES // shrink) * (MEL_BINS // shrink)
        self.embeddings = nn.Sequential(
            nn.Linear(flat, size.inner),
            nn.ReLU(),
            nn.Linear(size.inner, size.inner),
            nn.ReLU(),
            nn.Linear(size.inner, size.width),
        )

    def forward(self, picture_WTM: Tensor) -> Tensor:
        """Embeddings [W, D]."""
        features_WCTM = self.features(picture_WTM[:, None])
        # TensorFlow's order, in which the weights were trained: channels last.
        embedding_WD: Tensor = self.embeddings(features_WCTM.permute(0, 2, 3, 1).flatten(1))
        return embedding_WD


class Vggish:
    """An embedding for each whole 0.96 s of the first 10 s of a clip.

    Args:
        weights: `vggish-10086976.pth`, or its folder.
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
        self.weights_sha256 = verified_sha256("vggish", weights, sha256)
        self._network = filled(self.build, read_state_dict(path), lambda _network, name: name, path, device)
        self._device = device

    @staticmethod
    def build() -> VggishNetwork:
        """The network at its published size, without weights."""
        return VggishNetwork()

    def extract(self, clip: ClipFile) -> Features:
        """`embeddings_WD` [W, 128]."""
        samples_N = beginning(clip, SAMPLE_RATE_HZ)
        if len(samples_N) < MIN_SAMPLES:
            lasts, least = (count / SAMPLE_RATE_HZ for count in (len(samples_N), MIN_SAMPLES))
            raise UnmeasurableError(f"the sound lasts {lasts:.2f} s; VGGish needs {least:.3f} s")
        with torch.inference_mode():
            embedding_WD = self._network(torch.from_numpy(examples(samples_N)).to(self._device))
        return Features(arrays={"embeddings_WD": embedding_WD.cpu().numpy()})
