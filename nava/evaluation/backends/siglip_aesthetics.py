"""Aesthetic Predictor V2.5: how beautiful a picture is, about 1 to 10, by SigLIP's embedding and five linear layers.

Section 1.4 of the evaluation reference. SigLIP is transformers' class, from a folder as on the hub; the layers' names
are those of `aesthetic_predictor_v2_5.pth`. Verse-Bench computes in bfloat16, this in float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.evaluation.backends.pretrained_folder import pretrained
from nava.evaluation.backends.renamed_weights import filled

WIDTHS = (1024, 128, 64, 16, 1)
BATCH_FRAMES = 16
# What the file of SigLIP holds besides its half for pictures.
_TEXT_HALF = ("text_model.", "logit_")


class AestheticHead(nn.Module):
    """An embedding of length 1 to a score; without anything between its layers, as published."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for source, target in zip((width, *WIDTHS), WIDTHS, strict=False):
            # Dropout, which does nothing here, holds its number in the file's names.
            layers += [nn.Linear(source, target), nn.Dropout()]
        self.scoring_head = nn.Sequential(*layers[:-1])

    def forward(self, embedding_BD: Tensor) -> Tensor:
        """Scores [B] of embeddings of any length."""
        score_B1: Tensor = self.scoring_head(nn.functional.normalize(embedding_BD, dim=1))
        return score_B1[:, 0]


class SiglipAesthetics:
    """The predictor, loaded.

    Args:
        encoder: folder of SigLIP.
        head: file of the layers behind it.
        device: of torch.

    Raises:
        InputError: a tensor is missing, unknown or of another shape.
    """

    def __init__(self, encoder: Path, head: Path, device: str) -> None:
        from transformers import SiglipVisionModel

        self._encoder: Any = pretrained(SiglipVisionModel, encoder, device, besides=_TEXT_HALF)
        width = self._encoder.config.hidden_size
        self._head = filled(lambda: AestheticHead(width), read_state_dict(head), lambda _head, name: name, head, device)
        self._device = device

    def scores(self, frames_THWC: np.ndarray) -> np.ndarray:
        """Scores [T] of uint8 RGB frames."""
        found: list[np.ndarray] = []
        side = self._encoder.config.image_size
        for first in range(0, len(frames_THWC), BATCH_FRAMES):
            pictures = [siglip_picture(frame, side) for frame in frames_THWC[first : first + BATCH_FRAMES]]
            with torch.inference_mode():
                seen_BCHW = torch.from_numpy(np.stack(pictures)).to(self._device)
                score_B = self._head(self._encoder(pixel_values=seen_BCHW).pooler_output)
            found.append(score_B.double().cpu().numpy())
        return np.concatenate(found)


def siglip_picture(frame_HWC: np.ndarray, side: int) -> np.ndarray:
    """A uint8 RGB frame as SigLIP sees it, float32 [3, side, side], -1 to 1: scaled whatever its shape."""
    from PIL import Image

    scaled_HWC = np.asarray(Image.fromarray(frame_HWC).resize((side, side), Image.Resampling.BICUBIC))
    return (scaled_HWC.transpose(2, 0, 1).astype(np.float32) / 255 - 0.5) / 0.5
