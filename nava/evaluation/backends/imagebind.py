"""Whether picture and sound go together, by ImageBind: the IB metric in its two published protocols (section 1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile, locate
from nava.evaluation.backends.imagebind_input import avbench_pictures, official_pictures, sound_clips
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features
from nava.evaluation.scoring.kaldi_fbank import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from torch import Tensor

    from nava.evaluation.backends.imagebind_network import ImageBindNetwork

CHECKPOINT = WeightFile(
    "imagebind_huge.pth",
    "4.8 GB",
    "CC-BY-NC-SA-4.0",
    "facebookresearch/ImageBind",
    "download it from https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
)
BATCH_PAIRS = 6


class ImageBind:
    """One protocol; subclasses say which. The weights are for non-commercial use.

    Args:
        weights: `imagebind_huge.pth`, or its folder.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: the file is missing, is another, or has a tensor too few or too many; those of the towers for text,
            depth, heat and motion are left aside.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None
    name: ClassVar[str]

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from nava.artifacts.torch_checkpoint import read_state_dict
        from nava.evaluation.backends.imagebind_network import without_other_towers
        from nava.evaluation.backends.renamed_weights import filled

        path = locate(CHECKPOINT, weights)
        self.weights_sha256 = verified_sha256(self.name, weights, sha256)
        tensors = without_other_towers(read_state_dict(path))
        self._network = filled(self.build, tensors, lambda _network, name: name, path, device)
        self._device = device

    @staticmethod
    def build() -> ImageBindNetwork:
        """The network at its published size, without weights."""
        from nava.evaluation.backends.imagebind_network import ImageBindNetwork

        return ImageBindNetwork()

    def extract(self, clip: ClipFile) -> Features:
        """`picture_D` and `sound_D` [1024]: means over what was seen and heard, not brought to unit length again.

        Raises:
            UnmeasurableError: there is no picture or no sound, or too little of one.
        """
        sound_B1MT = sound_clips(clip.samples_at(SAMPLE_RATE_HZ))
        picture_BCTHW = self._pictures(clip)
        return Features(
            arrays={
                "picture_D": self._mean(self._network.picture, picture_BCTHW),
                "sound_D": self._mean(self._network.sound, sound_B1MT),
            }
        )

    def _pictures(self, clip: ClipFile) -> np.ndarray:
        """Pairs of frames [B, 3, 2, 224, 224] of a clip."""
        raise NotImplementedError

    def _mean(self, embed: Callable[[Tensor], Tensor], inputs: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            embedding_BD = torch.cat(
                [embed(part.to(self._device)).float().cpu() for part in torch.from_numpy(inputs).split(BATCH_PAIRS)]
            )
        mean_D: np.ndarray = embedding_BD.mean(dim=0).numpy()
        return mean_D


class ImageBindOfficial(ImageBind):
    """ImageBind's own preparation: five clips of 2 s, first and last frame of each, three crops."""

    name = "imagebind_huge_official"

    def _pictures(self, clip: ClipFile) -> np.ndarray:
        return official_pictures(clip.frames_THWC, clip.fps)


class ImageBindAvbench(ImageBind):
    """av-benchmark's: half a frame per second, overlapping pairs, three crops; its sound is ImageBind's own."""

    name = "imagebind_huge_avbench"

    def _pictures(self, clip: ClipFile) -> np.ndarray:
        return avbench_pictures(clip.frames_THWC, clip.fps)
