"""TransNetV2 (Soucek and Lokoc 2020, arXiv:2008.04838): how likely each frame is the last one before a transition.

The network is written from the paper, with the parameter names of the published PyTorch weights, so that importing the
package that carries them, which sets global seeds and environment variables, is not needed.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.runtime.errors import InputError

WIDTH, HEIGHT = 48, 27  # pixels of the pictures that the network was trained on
WINDOW, CENTRE = 100, 50  # frames it sees at once, and those of them whose answer counts
_FILTERS = (16, 32, 64)
_DILATIONS = (1, 2, 4, 8)
_SIMILAR_FRAMES = 101  # frames around each whose likeness is looked at
_BATCH = {"cpu": 1, "cuda": 16}  # windows; more takes memory and saves no time on a CPU


class TransNetV2(nn.Module):
    """Frames to the logits of `one frame of a transition` (its middle) and `any frame of a transition`."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *(4 * width for width in _FILTERS[:-1]))
        self.SDDCNN = nn.ModuleList(
            _StackedBlock(channels, width) for channels, width in zip(inputs, _FILTERS, strict=True)
        )
        self.frame_sim_layer = _FrameSimilarity(4 * sum(_FILTERS))
        self.color_hist_layer = _ColourSimilarity()
        cells = (HEIGHT // 8) * (WIDTH // 8)
        self.fc1 = nn.Linear(4 * _FILTERS[-1] * cells + 2 * 128, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def forward(self, frames_BTHWC: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [batch, frames, 27, 48, 3] to two float32 [batch, frames] of logits."""
        x_BCTHW = frames_BTHWC.permute(0, 4, 1, 2, 3).float() / 255.0
        means = []
        for block in self.SDDCNN:
            x_BCTHW = block(x_BCTHW)
            means.append(x_BCTHW.mean(dim=(3, 4)))
        likeness = self.frame_sim_layer(torch.cat(means, dim=1).transpose(1, 2))
        colours = self.color_hist_layer(frames_BTHWC)
        cells = x_BCTHW.permute(0, 2, 3, 4, 1).flatten(2)
        x_BTC = functional.relu(self.fc1(torch.cat([colours, likeness, cells], dim=2)))
        return self.cls_layer1(x_BTC)[..., 0], self.cls_layer2(x_BTC)[..., 0]


class _StackedBlock(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_DilatedBlock(channels, width), _DilatedBlock(4 * width, width)])

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        first = functional.relu(self.DDCNN[0](x_BCTHW))
        both = functional.relu(self.DDCNN[1](first)) + first
        return functional.avg_pool3d(both, (1, 2, 2))


class _DilatedBlock(nn.Module):
    """Four separable convolutions side by side, each looking further in time."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _SeparableConv(channels, width, dilation))
        self.bn = nn.BatchNorm3d(4 * width, eps=1e-3)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        branches = [getattr(self, f"Conv3D_{dilation}")(x_BCTHW) for dilation in _DILATIONS]
        normalized: Tensor = self.bn(torch.cat(branches, dim=1))
        return normalized


class _SeparableConv(nn.Module):
    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        across = nn.Conv3d(channels, 2 * width, (1, 3, 3), padding=(0, 1, 1), bias=False)
        along = nn.Conv3d(2 * width, width, (3, 1, 1), dilation=(dilation, 1, 1), padding=(dilation, 0, 0), bias=False)
        self.layers = nn.ModuleList([across, along])

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        convolved: Tensor = self.layers[1](self.layers[0](x_BCTHW))
        return convolved


class _FrameSimilarity(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, 128)
        self.fc = nn.Linear(_SIMILAR_FRAMES, 128)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return functional.relu(self.fc(_similarities(self.projection(x_BTC))))


class _ColourSimilarity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(_SIMILAR_FRAMES, 128)

    def forward(self, frames_BTHWC: Tensor) -> Tensor:
        # 8 steps of each of red, green and blue: 512 colours.
        steps = frames_BTHWC.flatten(2, 3).long() >> 5
        colours_BTN = (steps[..., 0] << 6) + (steps[..., 1] << 3) + steps[..., 2]
        counts_BTC = torch.zeros(*colours_BTN.shape[:2], 512, device=frames_BTHWC.device)
        counts_BTC.scatter_add_(2, colours_BTN, torch.ones_like(colours_BTN, dtype=counts_BTC.dtype))
        return functional.relu(self.fc(_similarities(counts_BTC)))


def _similarities(x_BTC: Tensor) -> Tensor:
    """Cosine of each frame with those up to 50 before and after it, [batch, frames, 101]; 0 beyond the window."""
    unit = functional.normalize(x_BTC, dim=2)
    pad = _SIMILAR_FRAMES // 2
    padded = functional.pad(unit @ unit.transpose(1, 2), (pad, pad))
    frames = torch.arange(x_BTC.shape[1], device=x_BTC.device)
    wanted = frames[:, None] + torch.arange(_SIMILAR_FRAMES, device=x_BTC.device)
    return padded.gather(2, wanted.expand(len(x_BTC), -1, -1))


class TransNetDetector:
    """TransNetV2 with its weights, on a GPU when there is one.

    Args:
        path: a .pth or .safetensors file of the published layout.

    Raises:
        InputError: it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = TransNetV2()
        try:
            self.network.load_state_dict(_read_weights(path))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} does not hold the weights of TransNetV2: {reason}") from error
        self.network.eval().to(self.device)

    def __call__(
        self, small_THWC: npt.NDArray[np.uint8], wanted_T: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities that a frame is the middle of a transition (the last before a hard cut), and that it is any
        frame of one, two float32 [T]; 0 where it was not wanted.

        Args:
            small_THWC: uint8 pictures of the whole source, of any size.
            wanted_T: which frames to look at; every window of 50 that holds one is.
        """
        frames = len(small_THWC)
        found_2T = np.zeros((2, -(-frames // CENTRE) * CENTRE), np.float32)
        starts = [start for start in range(0, frames, CENTRE) if wanted_T[start : start + CENTRE].any()]
        batch = _BATCH[self.device.type]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sources are worked on in parallel processes
        try:
            for first in range(0, len(starts), batch):
                some = starts[first : first + batch]
                centre_2BT = self._centres(np.stack([_window(small_THWC, start) for start in some]))
                for place, start in enumerate(some):
                    found_2T[:, start : start + CENTRE] = centre_2BT[:, place]
        finally:
            torch.set_num_threads(threads)
        return found_2T[0, :frames], found_2T[1, :frames]

    def _centres(self, windows_BTHWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Both probabilities of the middle 50 frames of each window, float32 [2, batch, 50]."""
        edge = (WINDOW - CENTRE) // 2
        with torch.inference_mode():
            logits_2BT = torch.stack(self.network(torch.from_numpy(windows_BTHWC).to(self.device)))
        centre_2BT: npt.NDArray[np.float32] = torch.sigmoid(logits_2BT[..., edge : edge + CENTRE]).cpu().numpy()
        return centre_2BT


def _window(small_THWC: npt.NDArray[np.uint8], start: int) -> npt.NDArray[np.uint8]:
    """The 100 frames around the 50 from `start`; the source's first and last frame stand for what is not there."""
    edge = (WINDOW - CENTRE) // 2
    numbers = np.clip(np.arange(start - edge, start - edge + WINDOW), 0, len(small_THWC) - 1)
    return np.stack([cv2.resize(small_THWC[n], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for n in numbers])


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return read_state_dict(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file: {error}") from error
