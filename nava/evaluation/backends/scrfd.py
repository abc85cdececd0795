"""SCRFD, the face detector of insightface's `buffalo_l` (`det_10g.onnx`), as Verse-Bench uses it.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection" (2021). Sizes and thresholds are those
of insightface's FaceAnalysis, prepared with 640 x 480 (section 1.2 of the evaluation reference).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nava.evaluation.backends.box_overlap import best_boxes
from nava.evaluation.backends.published_files import SCRFD
from nava.runtime.errors import InputError

INPUT_WIDTH, INPUT_HEIGHT = 640, 480
MIN_SCORE = 0.5
MAX_OVERLAP = 0.4
STRIDES = (8, 16, 32)
BOXES_PER_PLACE = 2
MIDDLE, RANGE = 127.5, 128.0
_EDGE = 1.0  # both corner pixels belong to a box


class ScrfdDetector:
    """Faces of a picture that is fitted into 640 x 480.

    Args:
        path: the ONNX file.

    Raises:
        InputError: it is no such model, or onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{path} needs the package onnxruntime: pip install onnxruntime") from error
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception for every status
            raise InputError(f"{path} is not an ONNX model: {error}") from error
        self._path = path
        self._input = self._session.get_inputs()[0].name
        outputs = len(self._session.get_outputs())
        # Scores and boxes of each stride; then, in most models, places of eyes, nose and mouth.
        if outputs not in (2 * len(STRIDES), 3 * len(STRIDES)):
            raise InputError(f"{path} has {outputs} outputs, SCRFD has 6 or 9: get {SCRFD.file}")

    def detect(self, frame_HWC: np.ndarray) -> np.ndarray:
        """Boxes x1, y1, x2, y2 in pixels [N, 4] of an RGB frame, best first."""
        picture_1CHW, ratio = fitted_picture(frame_HWC)
        outputs: list[Any] = self._session.run(None, {self._input: picture_1CHW})
        found = [
            self._decoded(outputs[level], outputs[level + len(STRIDES)], stride) for level, stride in enumerate(STRIDES)
        ]
        box_N4 = np.concatenate([boxes for boxes, _ in found]) / ratio
        score_N = np.concatenate([scores for _, scores in found])
        return box_N4[best_boxes(box_N4, score_N, MAX_OVERLAP, _EDGE)]

    def _decoded(self, score_N1: np.ndarray, distance_N4: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores of a stride's places; the network gives distances to the four sides in strides."""
        rows, columns = INPUT_HEIGHT // stride, INPUT_WIDTH // stride
        places = rows * columns * BOXES_PER_PLACE
        if score_N1.shape != (places, 1) or distance_N4.shape != (places, 4):
            raise InputError(
                f"{self._path}: at stride {stride} scores are {list(score_N1.shape)} and boxes "
                f"{list(distance_N4.shape)}, not [{places}, 1] and [{places}, 4]: it is not {SCRFD.file}"
            )
        y_HW, x_HW = np.mgrid[:rows, :columns]
        place_N2 = stride * np.repeat(np.stack([x_HW, y_HW], axis=-1).reshape(-1, 2), BOXES_PER_PLACE, axis=0)
        sure_N = score_N1[:, 0] >= MIN_SCORE
        reach_N4 = distance_N4[sure_N].astype(float) * stride
        place_N2 = place_N2[sure_N]
        box_N4 = np.concatenate([place_N2 - reach_N4[:, :2], place_N2 + reach_N4[:, 2:]], axis=1)
        return box_N4, score_N1[sure_N, 0].astype(float)


def fitted_picture(frame_HWC: np.ndarray) -> tuple[np.ndarray, float]:
    """What the network sees of a uint8 RGB frame [1, 3, 480, 640], and its size relative to the frame.

    The frame lies in the upper left corner; the rest is black.
    """
    import cv2

    height, width = frame_HWC.shape[:2]
    if height / width > INPUT_HEIGHT / INPUT_WIDTH:
        small_height, small_width = INPUT_HEIGHT, int(INPUT_HEIGHT / (height / width))
    else:
        small_height, small_width = int(INPUT_WIDTH * (height / width)), INPUT_WIDTH
    canvas_HWC = np.zeros((INPUT_HEIGHT, INPUT_WIDTH, 3), np.uint8)
    canvas_HWC[:small_height, :small_width] = cv2.resize(frame_HWC, (small_width, small_height))
    picture_CHW = ((canvas_HWC.astype(np.float32) - MIDDLE) / RANGE).transpose(2, 0, 1)
    return np.ascontiguousarray(picture_CHW)[None], small_height / height
