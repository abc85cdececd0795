"""S3FD, the face detector of SyncNet's pipeline, in the shape of the published file `sfd_face.pth`.

Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector" (2017): VGG-16 with two more pairs of convolutions, one
box per place of six feature maps. Thresholds, scale and preprocessing as SyncNet's code has them (section 1.2 of the
evaluation reference).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.evaluation.backends.box_overlap import best_boxes
from nava.evaluation.backends.weights import fill
from nava.evaluation.extraction.features import UnmeasurableError

SCALE = 0.25
MIN_SCORE = 0.9
# Inside of a picture's candidates, then among what is left; pixels against pixels both times.
MAX_OVERLAPS = (0.3, 0.1)
MEAN_RGB = (123.0, 117.0, 104.0)
MIN_SIDE = 32  # five poolings leave one place
# Per feature map: pixels from one place to the next, and the side of the box that is corrected there.
STRIDES = (4, 8, 16, 32, 64, 128)
SIDES = (16, 32, 64, 128, 256, 512)
CENTRE_STEP, SIZE_STEP = 0.1, 0.2  # of the corrections, relative to the box
_VGG = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool_up", 512, 512, 512, "pool", 512, 512, 512, "pool")
# Where feature maps leave it: after conv3_3, conv4_3, conv5_3, and at the end.
_TAPS = (16, 23, 30)


class UnitLength(nn.Module):
    """Every place's vector at length 1, times a weight per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """The same shape."""
        length_N1HW = map_NCHW.square().sum(dim=1, keepdim=True).sqrt() + 1e-10
        return self.weight[:, None, None] * map_NCHW / length_N1HW


class S3FDNetwork(nn.Module):
    """A picture to boxes and scores, with names as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = _vgg()
        self.L2Norm3_3 = UnitLength(256)
        self.L2Norm4_3 = UnitLength(512)
        self.L2Norm5_3 = UnitLength(512)
        self.extras = nn.ModuleList(
            [
                nn.Conv2d(1024, 256, 1),
                nn.Conv2d(256, 512, 3, stride=2, padding=1),
                nn.Conv2d(512, 128, 1),
                nn.Conv2d(128, 256, 3, stride=2, padding=1),
            ]
        )
        channels = (256, 512, 512, 1024, 512, 256)
        self.loc = nn.ModuleList([nn.Conv2d(width, 4, 3, padding=1) for width in channels])
        # The finest map has three backgrounds, of which the likeliest counts.
        self.conf = nn.ModuleList(
            [nn.Conv2d(width, 4 if not level else 2, 3, padding=1) for level, width in enumerate(channels)]
        )

    def forward(self, picture_1CHW: Tensor) -> tuple[Tensor, Tensor]:
        """RGB less its mean [1, 3, H, W] to boxes x1, y1, x2, y2 in its pixels [N, 4], and their scores 0..1 [N]."""
        found = [
            _decoded(location(map_NCHW)[0], confidence(map_NCHW)[0], stride, side)
            for map_NCHW, location, confidence, stride, side in zip(
                self._maps(picture_1CHW), self.loc, self.conf, STRIDES, SIDES, strict=True
            )
        ]
        return torch.cat([boxes for boxes, _ in found]), torch.cat([scores for _, scores in found])

    def _maps(self, map_NCHW: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        norms = (self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3)
        for index, module in enumerate(self.vgg):
            if index in _TAPS:
                maps.append(norms[len(maps)](map_NCHW))
            map_NCHW = module(map_NCHW)
        maps.append(map_NCHW)
        for index, module in enumerate(self.extras):
            map_NCHW = functional.relu(module(map_NCHW))
            if index % 2:
                maps.append(map_NCHW)
        return maps


class S3FDDetector:
    """Faces of a picture at a quarter of its size.

    Args:
        path: the published file.
        device: of torch.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._network = S3FDNetwork()
        fill(self._network, read_state_dict(path), path)
        self._network.to(device)
        self._device = device

    def detect(self, frame_HWC: np.ndarray) -> np.ndarray:
        """Boxes x1, y1, x2, y2 in pixels [N, 4] of an RGB frame, best first.

        Raises:
            UnmeasurableError: the frame is smaller than the network can take.
        """
        picture_1CHW = scaled_picture(frame_HWC).to(self._device)
        with torch.inference_mode():
            scaled_N4, score_N = (found.cpu().numpy() for found in self._network(picture_1CHW))
        # Whatever scores less could not have removed one of these.
        sure_N = score_N > MIN_SCORE
        (height, width), (small_height, small_width) = frame_HWC.shape[:2], picture_1CHW.shape[2:]
        ratio_4 = np.array([width / small_width, height / small_height] * 2)
        box_N4, score_N = scaled_N4[sure_N] * ratio_4, score_N[sure_N].astype(float)
        for limit in MAX_OVERLAPS:
            kept = best_boxes(box_N4, score_N, limit)
            box_N4, score_N = box_N4[kept], score_N[kept]
        return box_N4


def scaled_picture(frame_HWC: np.ndarray) -> Tensor:
    """What the network sees of a uint8 RGB frame: [1, 3, h, w], a quarter of the size, less the mean colour."""
    import cv2

    small_HWC = cv2.resize(frame_HWC, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)
    if min(small_HWC.shape[:2]) < MIN_SIDE:
        height, width = frame_HWC.shape[:2]
        least = int(MIN_SIDE / SCALE)
        raise UnmeasurableError(f"the picture has {width} x {height} pixels; S3FD needs {least} x {least}")
    centred_HWC = small_HWC.astype(np.float32) - np.array(MEAN_RGB, np.float32)
    return torch.from_numpy(np.ascontiguousarray(centred_HWC.transpose(2, 0, 1)))[None]


def _vgg() -> nn.ModuleList:
    modules: list[nn.Module] = []
    channels = 3
    for entry in _VGG:
        if isinstance(entry, int):
            modules += [nn.Conv2d(channels, entry, 3, padding=1), nn.ReLU()]
            channels = entry
        else:
            modules.append(nn.MaxPool2d(2, 2, ceil_mode=entry == "pool_up"))
    # The two fully connected layers of VGG as convolutions.
    modules += [nn.Conv2d(channels, 1024, 3, padding=6, dilation=6), nn.ReLU(), nn.Conv2d(1024, 1024, 1), nn.ReLU()]
    return nn.ModuleList(modules)


def _decoded(location_4HW: Tensor, confidence_CHW: Tensor, stride: int, side: int) -> tuple[Tensor, Tensor]:
    """Boxes [H W, 4] and scores [H W] of a feature map, whose places lie in the middle of their pixels."""
    rows, columns = location_4HW.shape[1:]
    y_H, x_W = (torch.arange(count, device=location_4HW.device) + 0.5 for count in (rows, columns))
    place_N2 = stride * torch.stack(torch.meshgrid(y_H, x_W, indexing="ij")[::-1], dim=-1).flatten(0, 1)
    step_N4 = location_4HW.flatten(1).T
    centre_N2 = place_N2 + step_N4[:, :2] * CENTRE_STEP * side
    half_N2 = side * torch.exp(step_N4[:, 2:] * SIZE_STEP) / 2
    background_HW, face_HW = confidence_CHW[:-1].amax(dim=0), confidence_CHW[-1]
    score_N = torch.softmax(torch.stack([background_HW, face_HW]), dim=0)[1].flatten()
    return torch.cat([centre_N2 - half_N2, centre_N2 + half_N2], dim=1), score_N
