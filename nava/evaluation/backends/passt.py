"""What kinds of sound are heard, by PaSST, the classifier of the KL metric (section 1.6 of the reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile, locate
from nava.evaluation.backends.passt_input import SAMPLE_RATE_HZ, log_mel, windows
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError

if TYPE_CHECKING:
    from nava.evaluation.backends.passt_network import PasstNetwork

CHECKPOINT = WeightFile(
    "passt-s-f128-p16-s10-ap.476-swa.pt",
    "344 MB",
    "Apache-2.0",
    "kkoutini/PaSST",
    "download it from the release v0.0.1-audioset of https://github.com/kkoutini/PaSST",
)


class Passt:
    """Logits of the 527 classes of AudioSet.

    Args:
        weights: `passt-s-f128-p16-s10-ap.476-swa.pt`, or its folder.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: the file is missing, is another, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    name: ClassVar[str] = "passt"
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from nava.artifacts.torch_checkpoint import read_state_dict
        from nava.evaluation.backends.renamed_weights import filled

        path = locate(CHECKPOINT, weights)
        self.weights_sha256 = verified_sha256(self.name, weights, sha256)
        self._network = filled(self.build, read_state_dict(path), lambda _network, name: name, path, device)
        self._device = device

    @staticmethod
    def build() -> PasstNetwork:
        """The network at its published size, without weights."""
        from nava.evaluation.backends.passt_network import PasstNetwork

        return PasstNetwork()

    def extract(self, clip: ClipFile) -> Features:
        """`logits_WK`, a row for each window. UnmeasurableError for silence, which has no peak to bring to a level."""
        import torch

        samples_N = clip.samples_at(SAMPLE_RATE_HZ)
        if not samples_N.any():
            raise UnmeasurableError("the sound is silent: it has no peak to bring to -1 dBFS")
        with torch.inference_mode():
            logits_WK = [
                self._network(torch.from_numpy(log_mel(window_N)).to(self._device)).cpu().numpy()
                for window_N in windows(samples_N)
            ]
        return Features(arrays={"logits_WK": np.stack(logits_WK)})
