"""Whose voice it is, by the network of Seed-TTS-eval's SIM (section 1.8 of the evaluation reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nava.artifacts.weight_files import WeightFile, locate
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from nava.evaluation.backends.ecapa_tdnn import SpeakerNetwork

CHECKPOINT = WeightFile(
    "wavlm_large_finetune.pth",
    "1.3 GB",
    "MIT code; weights of UniSpeech",
    "BytedanceSpeech/seed-tts-eval",
    "download it as the README of github.com/BytedanceSpeech/seed-tts-eval says",
)
# The classifier of the training lies in the file and takes no part in an embedding.
_TRAINING_ONLY = "loss_calculator.projection.weight"


class WavlmEcapa:
    """WavLM large with an ECAPA-TDNN head, 256 values; no voice activity detection, all of the recording.

    Args:
        weights: `wavlm_large_finetune.pth`, or its folder.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: the file is missing, is another, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from nava.artifacts.torch_checkpoint import read_torch_checkpoint
        from nava.evaluation.backends.renamed_weights import filled

        path = locate(CHECKPOINT, weights)
        self.weights_sha256 = verified_sha256("wavlm_large_ecapa", weights, sha256)
        value = read_torch_checkpoint(path)
        if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
            raise InputError(f"{path} has no tensors under 'model': it is not {CHECKPOINT.file}; {CHECKPOINT.obtain}")
        tensors = {name: tensor for name, tensor in value["model"].items() if name != _TRAINING_ONLY}
        self._network = filled(self.build, tensors, lambda network, name: network.published_name(name), path, device)
        self._device = device

    @staticmethod
    def build() -> SpeakerNetwork:
        """The network at its published size, without weights."""
        from nava.evaluation.backends.ecapa_tdnn import SpeakerNetwork
        from nava.evaluation.backends.wavlm import large_config

        return SpeakerNetwork(large_config())

    def extract(self, clip: ClipFile) -> Features:
        """`embedding_D` [256]. UnmeasurableError for silence, in which there is no voice."""
        import torch

        samples_N = clip.samples_at(SPEECH_RATE_HZ)
        if not samples_N.any():
            raise UnmeasurableError("the sound is silent: there is no voice in it")
        with torch.inference_mode():
            embedding_D = self._network(torch.from_numpy(samples_N).to(self._device))
        return Features(arrays={"embedding_D": embedding_D.float().cpu().numpy()})
