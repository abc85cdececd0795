"""SyncNet: mouth pictures and sound to vectors of 1024 values that are close where both belong together.

Chung and Zisserman, "Out of time" (2016), in the shape of the published file `syncnet_v2.model`: a state dict of
PyTorch before 1.6 with the names `netcnnaud`, `netfcaud`, `netcnnlip`, `netfclip`. Section 1.2 of the evaluation
reference. Outputs are not normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.evaluation.backends.weights import fill

WIDTH = 1024
# Files of PyTorch before 0.4.1 do not count batches, and nothing depends on it.
_NOT_IN_OLD_FILES = ("num_batches_tracked",)


@dataclass(frozen=True)
class Layer:
    """A convolution with batch normalisation and ReLU, and the largest value of neighbours after it.

    Attributes:
        channels: that it gives.
        kernel, stride, padding: of the convolution; the dimensions are height and width, before them time in 3-D.
        pool: kernel, stride and padding of the pooling; None for none.
    """

    channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    pool: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None


# 13 coefficients x 20 columns. The first pooling changes nothing; the file counts it all the same.
SOUND = (
    Layer(64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1), (0, 0))),
    Layer(192, (3, 3), (1, 1), (1, 1), ((3, 3), (1, 2), (0, 0))),
    Layer(384, (3, 3), (1, 1), (1, 1)),
    Layer(256, (3, 3), (1, 1), (1, 1)),
    Layer(256, (3, 3), (1, 1), (1, 1), ((3, 3), (2, 2), (0, 0))),
    Layer(512, (5, 4), (1, 1), (0, 0)),
)
# 5 frames of 224 x 224.
PICTURE = (
    Layer(96, (5, 7, 7), (1, 2, 2), (0, 0, 0), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    Layer(256, (1, 5, 5), (1, 2, 2), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    Layer(256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    Layer(256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    Layer(256, (1, 3, 3), (1, 1, 1), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    Layer(512, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
)


class SyncNet(nn.Module):
    """Both streams, with names as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _convolutions(1, SOUND)
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = _convolutions(3, PICTURE)

    def picture(self, window_NCTHW: Tensor) -> Tensor:
        """Windows [N, 3, 5, 224, 224], BGR 0..255, to [N, 1024]."""
        vector_ND: Tensor = self.netfclip(self.netcnnlip(window_NCTHW).flatten(1))
        return vector_ND

    def sound(self, window_NCFT: Tensor) -> Tensor:
        """Windows of MFCC [N, 1, 13, 20] to [N, 1024]."""
        vector_ND: Tensor = self.netfcaud(self.netcnnaud(window_NCFT).flatten(1))
        return vector_ND


def load_syncnet(path: Path, device: str) -> SyncNet:
    """The network of the published file.

    Raises:
        InputError: the file cannot be read without running code in it, or has other tensors.
    """
    network = SyncNet()
    fill(network, read_state_dict(path), path, _NOT_IN_OLD_FILES)
    return network.to(device)


def _convolutions(channels: int, layers: Sequence[Layer]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        flat = len(layer.kernel) == 2
        kinds: tuple[Any, Any, Any] = (
            (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d) if flat else (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)
        )
        convolution, norm, pool = kinds
        modules.append(convolution(channels, layer.channels, layer.kernel, layer.stride, layer.padding))
        modules += [norm(layer.channels), nn.ReLU()]
        if layer.pool is not None:
            modules.append(pool(*layer.pool))
        channels = layer.channels
    return nn.Sequential(*modules)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))
