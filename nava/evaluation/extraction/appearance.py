"""How a picture looks, coarsely: colours, and directions of edges, in a grid."""

from __future__ import annotations

import numpy as np

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features

GRID = 4
COLOUR_BINS = 4
DIRECTIONS = 8


class ColourGradient:
    """A unit vector per frame: per cell of a grid, a histogram of colours and one of the directions of edges."""

    version = 1
    weights_sha256 = None

    def extract(self, clip: ClipFile) -> Features:
        """`frames_TD`, one row for each frame; of a still picture there is one."""
        return Features(arrays={"frames_TD": np.stack([_vector(frame) for frame in clip.frames_THWC])})


def _vector(frame_HWC: np.ndarray) -> np.ndarray:
    cells = [cell for rows in np.array_split(frame_HWC, GRID, axis=0) for cell in np.array_split(rows, GRID, axis=1)]
    colours = np.concatenate([_colours(cell) for cell in cells])
    edges = np.concatenate([_edges(cell) for cell in cells])
    parts = [part / max(float(np.linalg.norm(part)), 1e-12) for part in (colours, edges)]
    vector = np.concatenate(parts) / np.sqrt(2.0)
    return vector.astype(np.float32)


def _colours(cell_HWC: np.ndarray) -> np.ndarray:
    levels = cell_HWC.astype(int) * COLOUR_BINS // 256
    index = (levels[..., 0] * COLOUR_BINS + levels[..., 1]) * COLOUR_BINS + levels[..., 2]
    return np.bincount(index.ravel(), minlength=COLOUR_BINS**3) / index.size


def _edges(cell_HWC: np.ndarray) -> np.ndarray:
    grey_HW = cell_HWC.astype(np.float32).mean(axis=2)
    if min(grey_HW.shape) < 2:
        return np.zeros(DIRECTIONS)
    down_HW, right_HW = np.gradient(grey_HW)
    # Opposite directions are the same edge.
    angle_HW = np.mod(np.arctan2(down_HW, right_HW), np.pi) / np.pi
    index = np.minimum((angle_HW * DIRECTIONS).astype(int), DIRECTIONS - 1)
    return np.bincount(index.ravel(), weights=np.hypot(down_HW, right_HW).ravel(), minlength=DIRECTIONS) / grey_HW.size
