"""DINO features of pictures: whether the picture of a clip stays the one that was given (section 1.4 of the reference).

Models are transformers' classes, from a folder with `config.json` and `model.safetensors` as on the hub; pictures are
prepared here, since transformers' own preparation needs torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile
from nava.evaluation.backends.pretrained_folder import pretrained
from nava.evaluation.backends.weights import file_in, verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features
from nava.runtime.errors import InputError

SIDE = 224
SHORT_SIDE = 256  # to which DINOv2 scales before it cuts the middle out
MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)
BATCH_FRAMES = 16
_DINOV3 = "facebook/dinov3-vitl16-pretrain-lvd1689m"
_DINOV2 = "facebook/dinov2-large"


def dinov3_picture(frame_HWC: np.ndarray) -> np.ndarray:
    """A uint8 RGB frame as DINOv3 sees it, float32 [3, 224, 224]: scaled whatever its shape, with smooth edges."""
    from PIL import Image

    # Scaled as floats, not in whole grey levels.
    channels = [Image.fromarray(frame_HWC[..., channel].astype(np.float32) / 255) for channel in range(3)]
    scaled = [np.asarray(channel.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for channel in channels]
    return _normalised(np.stack(scaled))


def dinov2_picture(frame_HWC: np.ndarray) -> np.ndarray:
    """A uint8 RGB frame as DINOv2 sees it, float32 [3, 224, 224]: the short side scaled to 256, the middle cut out."""
    from PIL import Image

    height, width = frame_HWC.shape[:2]
    short = min(height, width)
    size = (int(SHORT_SIDE * width / short), int(SHORT_SIDE * height / short))
    scaled_HWC = np.asarray(Image.fromarray(frame_HWC).resize(size, Image.Resampling.BICUBIC))
    top, left = (size[1] - SIDE) // 2, (size[0] - SIDE) // 2
    middle_HWC = scaled_HWC[top : top + SIDE, left : left + SIDE]
    return _normalised(middle_HWC.transpose(2, 0, 1).astype(np.float32) / 255)


def _normalised(picture_CHW: np.ndarray) -> np.ndarray:
    mean_C, std_C = (np.array(values, np.float32)[:, None, None] for values in (MEAN_RGB, STD_RGB))
    return ((picture_CHW - mean_C) / std_C).astype(np.float32)


class DinoIdentity:
    """One vector per frame: of one token after the last layer; subclasses say of which model and token.

    Args:
        weights: folder with `config.json` and `model.safetensors`, and nothing else.
        sha256: of the folder, as `nava.runtime.hashing.sha256_path` gives it.
        device: of torch.

    Raises:
        InputError: files are missing or others, or the model is another one.
    """

    version = 1
    needs_weights = True
    name: ClassVar[str]
    token: ClassVar[int]
    model_class: ClassVar[str] = "DINOv3ViTModel"
    repository: ClassVar[str] = _DINOV3
    # What its config.json must say.
    config: ClassVar[Mapping[str, Any]] = {
        "model_type": "dinov3_vit",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "patch_size": 16,
    }
    picture = staticmethod(dinov3_picture)

    def __init__(self, *, weights: str, sha256: str, device: str = "cpu") -> None:
        import transformers

        wanted = [
            WeightFile(file, size, "DINO licence of the repository", self.repository)
            for file, size in (("config.json", "1 kB"), ("model.safetensors", "1.2 GB"))
        ]
        config, _ = (file_in(weights, file) for file in wanted)
        self._check(config)
        self.weights_sha256: str | None = verified_sha256(self.name, weights, sha256)
        self._model = pretrained(getattr(transformers, self.model_class), config.parent, device)
        self._device = device

    def _check(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not JSON: copy it again from {self.repository}") from error
        for name, value in self.config.items():
            if found.get(name) != value:
                raise InputError(
                    f"{path}: {name} is {found.get(name)!r}, {self.name} is of a model with {value!r}: "
                    f"copy {self.repository}"
                )

    def extract(self, clip: ClipFile) -> Features:
        """`frames_TD`, one row for each frame; of a still picture there is one."""
        import torch

        frames_THWC = clip.frames_THWC
        rows: list[np.ndarray] = []
        for first in range(0, len(frames_THWC), BATCH_FRAMES):
            pictures_NCHW = np.stack(
                [self.picture(frame_HWC) for frame_HWC in frames_THWC[first : first + BATCH_FRAMES]]
            )
            with torch.inference_mode():
                tokens_NLD = self._model(torch.from_numpy(pictures_NCHW).to(self._device)).last_hidden_state
            rows.append(tokens_NLD[:, self.token].float().cpu().numpy())
        return Features(arrays={"frames_TD": np.concatenate(rows)})


class DinoV3TokenMinus2(DinoIdentity):
    """The last but one token, a patch in the lower right corner, as Verse-Bench's code has it."""

    name = "dinov3_vitl16_token_minus_2"
    token = -2


class DinoV3Cls(DinoIdentity):
    """The first token, which stands for the whole picture."""

    name = "dinov3_vitl16_cls"
    token = 0


class DinoV2Cls(DinoIdentity):
    """The first token of DINOv2 ViT-L/14, whose weights are not gated."""

    name = "dinov2_vitl14_cls"
    token = 0
    model_class = "Dinov2Model"
    repository = _DINOV2
    config: ClassVar[Mapping[str, Any]] = {
        "model_type": "dinov2",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "patch_size": 14,
    }
    picture = staticmethod(dinov2_picture)
