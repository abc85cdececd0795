"""LAION-CLAP with feature fusion (arXiv 2211.06687): sounds and texts as vectors of one space."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile
from nava.evaluation.backends.clap_input import SAMPLE_RATE_HZ, fusion_input
from nava.evaluation.backends.pretrained_folder import WEIGHTS_FILE, pretrained, require_files
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.runtime.errors import InputError

TEXT_SUFFIX = ".txt"
MAX_TOKENS = 77
_REPOSITORY = "laion/clap-htsat-fused"
_OBTAIN = f"copy it from {_REPOSITORY}; weights in another format have to be saved as safetensors once"
FILES = tuple(
    WeightFile(name, size, "Apache-2.0", _REPOSITORY, _OBTAIN)
    for name, size in ((WEIGHTS_FILE, "615 MB"), ("config.json", "5 kB"), ("tokenizer.json", "2 MB"))
)


class Clap630kFusion:
    """Embeddings of unit length.

    Args:
        weights: folder as `laion/clap-htsat-fused` has it.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: a file is missing or another, has a tensor too few or too many, or the model is one without fusion.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from transformers import ClapModel, PreTrainedTokenizerFast

        folder = require_files(weights, FILES)
        self.weights_sha256 = verified_sha256("clap_630k_fusion", weights, sha256)
        self._model = pretrained(ClapModel, folder, device)
        if not self._model.config.audio_config.enable_fusion:
            raise InputError(f"{folder / 'config.json'} is of a CLAP without feature fusion: copy {_REPOSITORY}")
        self._tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        self._device = device

    def extract(self, clip: ClipFile) -> Features:
        """`embedding_D` [512] of a sound, or of the text in a `.txt` file.

        Raises:
            UnmeasurableError: silence, which has no peak to bring to a level; an empty text.
        """
        import torch

        text = clip.path.suffix == TEXT_SUFFIX
        with torch.inference_mode():
            found = self._text(clip.path.read_text(encoding="utf-8")) if text else self._sound(clip)
        embedding_D = torch.nn.functional.normalize(found.pooler_output[0].float(), dim=0)
        return Features(arrays={"embedding_D": embedding_D.cpu().numpy()})

    def _sound(self, clip: ClipFile) -> Any:
        import torch

        samples_N = clip.samples_at(SAMPLE_RATE_HZ)
        if not np.any(samples_N):
            raise UnmeasurableError("the sound is silent: it has no peak to bring to -1 dBFS")
        picture_14TB = torch.from_numpy(fusion_input(samples_N))[None].to(self._device)
        # In a batch without a long recording, the published network takes one for long: here, the only one.
        longer_11 = torch.ones(1, 1, dtype=torch.bool, device=self._device)
        return self._model.get_audio_features(input_features=picture_14TB, is_longer=longer_11)

    def _text(self, text: str) -> Any:
        import torch

        if not text.strip():
            raise UnmeasurableError("the text is empty")
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS)
        ids_1T, mask_1T = (
            torch.tensor([tokens[name]], device=self._device) for name in ("input_ids", "attention_mask")
        )
        return self._model.get_text_features(input_ids=ids_1T, attention_mask=mask_1T)
