"""AudioBox-Aesthetics: how enjoyable, useful, complex and well produced a sound is, about 1 to 10 (section 1.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile, WeightsMissing, locate
from nava.evaluation.backends.pretrained_folder import require_files
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from nava.evaluation.backends.aesthetics import AestheticsNetwork

WINDOW_S = 10
_REPOSITORY, _LICENCE = "facebook/audiobox-aesthetics", "CC-BY-4.0"
SAFETENSORS = WeightFile(
    "model.safetensors", "416 MB", _LICENCE, _REPOSITORY, f"copy it with its config.json from {_REPOSITORY}"
)
CONFIG = WeightFile("config.json", "1 kB", _LICENCE, _REPOSITORY)
CHECKPOINT = WeightFile("checkpoint.pt", "416 MB", _LICENCE, _REPOSITORY)
# What the published network is; another would be computed wrongly here.
_STRUCTURE = {
    "proj_num_layer": 5,
    "proj_ln": True,
    "proj_act_fn": "gelu",
    "nth_layer": 13,
    "use_weighted_layer_sum": True,
    "normalize_embed": True,
    "output_dim": 1,
}
_PREFIX = "model."


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of the ratings of an axis."""

    mean: float
    deviation: float


class AudioboxAesthetics:
    """All of a sound in windows of 10 s, each weighted by how much of it is sound.

    Silence has scores like any other sound, as published.

    Args:
        weights: folder with `model.safetensors` and `config.json`, or `checkpoint.pt` or its folder.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: a file is missing, is another, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from nava.evaluation.backends.renamed_weights import filled

        path = _locate(weights)
        self.weights_sha256 = verified_sha256("audiobox_aesthetics", weights, sha256)
        tensors, description, ratings = _read(path)
        _require_structure(path, description)
        self._scales = _scales(path, ratings)
        self._network = filled(self.build, tensors, lambda network, name: network.published_name(name), path, device)
        self._device = device

    @staticmethod
    def build() -> AestheticsNetwork:
        """The network at its published size, without weights."""
        from nava.evaluation.backends.aesthetics import AestheticsNetwork
        from nava.evaluation.backends.wavlm import base_plus_config

        return AestheticsNetwork(base_plus_config())

    def extract(self, clip: ClipFile) -> Features:
        """`CE`, `CU`, `PC`, `PQ`."""
        import torch

        from nava.evaluation.backends.aesthetics import AXES

        values_WA, weights_W = [], []
        for window_N, sound_samples in windows(clip.samples_at(SPEECH_RATE_HZ)):
            with torch.inference_mode():
                value_A = self._network(torch.from_numpy(window_N).to(self._device), sound_samples)
            values_WA.append(value_A.double().cpu().numpy())
            weights_W.append(sound_samples / len(window_N))
        mean_A = np.average(np.stack(values_WA), axis=0, weights=weights_W)
        scales = (self._scales[axis] for axis in AXES)
        return Features(
            {
                axis: float(value * scale.deviation + scale.mean)
                for axis, value, scale in zip(AXES, mean_A, scales, strict=True)
            }
        )


def windows(samples_N: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Windows of 10 s one after another, and how many samples of each are sound; the last is filled up with zeros."""
    length = WINDOW_S * SPEECH_RATE_HZ
    for start in range(0, len(samples_N), length):
        part_N = samples_N[start : start + length].astype(np.float32)
        yield np.pad(part_N, (0, length - len(part_N))), len(part_N)


def _locate(weights: str) -> Path:
    """The weights in whichever format there is."""
    if weights.endswith((".pt", ".pth")):
        return locate(CHECKPOINT, weights)
    try:
        return require_files(weights, (SAFETENSORS, CONFIG)) / SAFETENSORS.file
    except WeightsMissing as not_safetensors:
        try:
            return locate(CHECKPOINT, weights)
        except WeightsMissing:
            raise not_safetensors from None


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any], Any]:
    """Tensors by the names of the safetensors file, what the network is, and the scales of its axes."""
    from nava.artifacts.torch_checkpoint import read_state_dict, read_torch_checkpoint
    from nava.evaluation.backends.renamed_weights import read_tensors
    from nava.runtime.storage import read_json

    if path.suffix == ".safetensors":
        config = path.parent / CONFIG.file
        try:
            description = read_json(config)
            return read_tensors(path), description, description["target_transform"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config} has no target_transform: copy it again from {_REPOSITORY}") from error
    value = read_torch_checkpoint(path)
    try:
        description, ratings = value["model_cfg"], value["target_transform"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} has no model_cfg and target_transform: it is not {CHECKPOINT.file}") from error
    return {name.removeprefix(_PREFIX): tensor for name, tensor in read_state_dict(path).items()}, description, ratings


def _require_structure(path: Path, description: Mapping[str, Any]) -> None:
    for name, wanted in _STRUCTURE.items():
        if description.get(name, wanted) != wanted:
            raise InputError(f"{path} is a network with {name} {description[name]!r}; only {wanted!r} is known here")


def _scales(path: Path, ratings: Any) -> dict[str, Scale]:
    from nava.evaluation.backends.aesthetics import AXES

    try:
        return {axis: Scale(float(ratings[axis]["mean"]), float(ratings[axis]["std"])) for axis in AXES}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: target_transform must give mean and std of {', '.join(AXES)}") from error
