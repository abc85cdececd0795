"""What MUSIQ sees of a picture: patches of 32 x 32 at three scales (arXiv 2108.05997, and pyiqa's port of it).

pyiqa scales without smoothing, where the paper's code has a Gaussian kernel; Verse-Bench takes pyiqa.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

PATCH = 32
LONGER_SIDES = (224, 384)  # to which it is scaled, besides its own size
GRID = 10  # rows and columns of the embedding of places, whatever the number of patches


@dataclass(frozen=True)
class Patches:
    """Of one picture, N at all scales together.

    Attributes:
        picture_N3PP: RGB, -1 to 1; where a patch sticks out of the picture it is 0.
        place_N: index into the grid of places.
        scale_N: index of the scale, the picture's own size last.
    """

    picture_N3PP: Tensor  # noqa: N815 - named with its axes
    place_N: Tensor  # noqa: N815
    scale_N: Tensor  # noqa: N815

    def to(self, device: str) -> Patches:
        """The same on a device."""
        return Patches(*(tensor.to(device) for tensor in (self.picture_N3PP, self.place_N, self.scale_N)))


def patches(frame_HWC: np.ndarray) -> Patches:
    """The patches of a uint8 RGB frame.

    The published code fills the scaled pictures up with masked patches; what is masked changes nothing, so there are
    none here.
    """
    picture_13HW = torch.from_numpy(np.ascontiguousarray(frame_HWC.transpose(2, 0, 1)))[None].float() / 255 * 2 - 1
    pictures = [*(_scaled(picture_13HW, side) for side in LONGER_SIDES), picture_13HW]
    found = [_cut(picture) for picture in pictures]
    scales = [torch.full((len(place_N),), scale) for scale, (_, place_N) in enumerate(found)]
    return Patches(torch.cat([cut for cut, _ in found]), torch.cat([place for _, place in found]), torch.cat(scales))


def _scaled(picture_13HW: Tensor, longer_side: int) -> Tensor:
    height, width = picture_13HW.shape[2:]
    ratio = longer_side / max(height, width)
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    return functional.interpolate(picture_13HW, size, mode="bicubic", align_corners=False)


def _cut(picture_13HW: Tensor) -> tuple[Tensor, Tensor]:
    """Patches [N, 3, 32, 32] row by row, and their places [N]; the picture lies in the middle of its patches."""
    height, width = picture_13HW.shape[2:]
    rows, columns = math.ceil(height / PATCH), math.ceil(width / PATCH)
    down, right = rows * PATCH - height, columns * PATCH - width
    padded = functional.pad(picture_13HW, (right // 2, right - right // 2, down // 2, down - down // 2))
    tiles = padded[0].reshape(3, rows, PATCH, columns, PATCH).permute(1, 3, 0, 2, 4)
    row_R, column_C = (torch.arange(count) * GRID // count for count in (rows, columns))
    place_RC = row_R[:, None] * GRID + column_C[None]
    return tiles.reshape(rows * columns, 3, PATCH, PATCH), place_RC.flatten()
