"""Embeddings of a clip's pictures behind one interface. Clips are only ever compared within one backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.signature import Floats, dct3d


class Embedding(ABC):
    """Pictures to a vector whose cosines say how alike two clips look.

    Class attributes:
        proven: whether it has run on real weights, or needs none.
    """

    proven: ClassVar[bool] = True

    def setup(self) -> None:  # noqa: B027 - most need nothing
        """Load what it needs; called once per worker."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Name, version and weights: equal where vectors may be compared. Known after `setup`."""

    @property
    def backend(self) -> str:
        """How backend columns name it."""
        return self.identity if self.proven else f"{self.identity} (unproven)"

    @abstractmethod
    def embed(self, frames_THWC: npt.NDArray[np.uint8], cube_THW: Floats) -> Floats:
        """Vector of one clip, unit length, float32 [D], each value one that float16 holds.

        Args:
            frames_THWC: every frame of the clip, RGB.
            cube_THW: the same as `picture_cube` gives it, which the frame hashes need anyway.
        """


class Dct3dEmbedding(Embedding):
    """The 512 lowest frequencies of the picture over time, height and width.

    It finds clips that were scaled, recompressed or brightened. Crops, mirrored copies and large logos are beyond it.
    """

    @property
    def identity(self) -> str:
        """Its name and version."""
        return "dct3d/2"

    def embed(self, frames_THWC: npt.NDArray[np.uint8], cube_THW: Floats) -> Floats:
        """As `Embedding.embed`: float32 [512]."""
        return dct3d(cube_THW)


def make_embedding(config: DuplicateConfig) -> Embedding:
    """The embedding that the configuration names, not yet set up."""
    if config.embedding == "dct3d":
        return Dct3dEmbedding()
    from nava.data.duplicates.video_clip import VideoClipEmbedding

    return VideoClipEmbedding(config.weights, config.weights_cache)
