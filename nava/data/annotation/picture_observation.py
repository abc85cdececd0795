"""What happens in a clip's picture, measured: an area that flashes, one thing that moves, mouths, columns, streaks; its
colour and its side.
"""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_ACTIVE_RANGE = 30.0  # brightness steps (0-255) between a pixel's darkest and brightest moment
_LEAST_REGION = 0.004  # of the picture
_FLASH_SHARE = 0.93  # of the variance that one common course explains
_MOUTH_SHARE = 0.45
_FLASH_FILL = 0.85  # of its bounding box
_MOUTH_AREA = 0.13  # of the picture
_STREAK_SHARE = 0.12
_STREAK_REGIONS = 8
_MIN_CHROMA = 0.12

# Hue in degrees at which a colour's range ends. Widths follow how people name colours, not equal steps.
_HUES = (
    (18, "red"),
    (40, "orange"),
    (72, "yellow"),
    (165, "green"),
    (195, "cyan"),
    (262, "blue"),
    (300, "purple"),
    (338, "pink"),
    (361, "red"),
)


class PictureKind(StrEnum):
    """The classes the captioner has words for."""

    STILL = "still"
    FLASH = "flash"
    MOVING = "moving"
    MOUTH = "mouth"
    MOUTHS = "mouths"
    COLUMNS = "columns"
    STREAKS = "streaks"
    OTHER = "other"


@dataclass(frozen=True)
class PictureObservation:
    """A clip's picture.

    Attributes:
        kind: its class.
        colour: name of the hue of what changes, empty if it has none (grey).
        side: `left`, `right` or `middle`: where it is.
    """

    kind: PictureKind
    colour: str
    side: str


def observe_picture(frames_THWC: npt.NDArray[np.uint8]) -> PictureObservation:
    """Classifies the pictures of a clip (uint8 RGB)."""
    bright_THW = _brightest(frames_THWC).astype(np.float32)
    active_HW = np.ptp(bright_THW, axis=0) > _ACTIVE_RANGE
    regions = _regions(active_HW)
    if not regions:
        return PictureObservation(PictureKind.STILL, "", "middle")
    active_HW = np.logical_or.reduce(regions)
    kind = _classify(bright_THW, active_HW, regions)
    side = _side(active_HW)
    if kind is PictureKind.FLASH:
        return PictureObservation(kind, flash_colour(frames_THWC, active_HW), side)
    if kind in (PictureKind.MOUTH, PictureKind.MOUTHS):
        return PictureObservation(kind, _surrounding_colour(frames_THWC, active_HW), side)
    moving_THW = _moving(frames_THWC)
    return PictureObservation(kind, _vivid_colour(frames_THWC, moving_THW), side)


def name_colour(rgb: npt.NDArray[np.float64]) -> str:
    """The name of a colour's hue, empty for grey. Brightness does not matter; values may be differences of colours."""
    low, high = float(rgb.min()), float(rgb.max())
    if high <= 0 or (high - low) / high < _MIN_CHROMA:
        return ""
    hue = 360.0 * colorsys.rgb_to_hsv(*(np.maximum(rgb, 0.0) / high))[0]
    return next(name for end, name in _HUES if hue < end)


def flash_colour(frames_THWC: npt.NDArray[np.uint8], active_HW: npt.NDArray[np.bool_]) -> str:
    """The colour of the light that is added: bright frames minus dark ones."""
    course_TC = frames_THWC[:, active_HW].astype(np.float64).mean(axis=1)
    order = np.argsort(course_TC.max(axis=1), kind="stable")
    few = max(1, len(order) // 8)
    return name_colour(course_TC[order[-few:]].mean(axis=0) - course_TC[order[:few]].mean(axis=0))


def _brightest(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The largest of the three channels; NumPy's reduction over so short an axis costs ten times as much."""
    return np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])


def _regions(active_HW: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    labels_HW, count = ndimage.label(active_HW)
    masks = [labels_HW == number for number in range(1, count + 1)]
    return [mask for mask in masks if mask.mean() > _LEAST_REGION]


def _classify(
    bright_THW: npt.NDArray[np.float32], active_HW: npt.NDArray[np.bool_], regions: list[npt.NDArray[np.bool_]]
) -> PictureKind:
    course_TN = bright_THW[:, active_HW]
    course_TN = course_TN - course_TN.mean(axis=0)
    power = np.linalg.eigvalsh(course_TN @ course_TN.T)
    common_share = float(power[-1] / power.sum())
    area = float(active_HW.mean())
    rows, columns = np.nonzero(active_HW)
    fill = len(rows) / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
    if len(regions) == 1 and common_share > _FLASH_SHARE and fill > _FLASH_FILL:
        return PictureKind.FLASH
    if area < _MOUTH_AREA and common_share > _MOUTH_SHARE:
        # An opening mouth may leave its upper and its lower edge as two regions above each other.
        mouths = _groups_side_by_side(regions)
        return {1: PictureKind.MOUTH, 2: PictureKind.MOUTHS}.get(mouths, PictureKind.OTHER)
    if common_share < _STREAK_SHARE and (len(regions) >= _STREAK_REGIONS or area > 0.3):
        return PictureKind.STREAKS
    if len(regions) == 1:
        return PictureKind.MOVING
    return PictureKind.COLUMNS if _stand_in_a_row(regions) else PictureKind.OTHER


def _groups_side_by_side(regions: list[npt.NDArray[np.bool_]]) -> int:
    """How many groups of regions have columns of their own."""
    return int(ndimage.label(np.logical_or.reduce(regions).any(axis=0))[1])


def _stand_in_a_row(regions: list[npt.NDArray[np.bool_]]) -> bool:
    """Whether regions are upright and stand beside each other."""
    spans = sorted((columns.min(), columns.max(), np.ptp(rows)) for rows, columns in map(np.nonzero, regions))
    beside = all(left[1] < right[0] for left, right in itertools.pairwise(spans))
    return beside and all(tall > last - first for first, last, tall in spans)


def _side(active_HW: npt.NDArray[np.bool_]) -> str:
    centre = np.nonzero(active_HW)[1].mean() / active_HW.shape[1]
    return "left" if centre < 0.42 else "right" if centre > 0.58 else "middle"


def _moving(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where a frame differs from the clip's median picture."""
    middle = len(frames_THWC) // 2
    median_HWC = np.partition(frames_THWC, middle, axis=0)[middle].astype(np.int16)
    return _brightest(np.abs(frames_THWC - median_HWC)) > _ACTIVE_RANGE


def _vivid_colour(frames_THWC: npt.NDArray[np.uint8], mask_THW: npt.NDArray[np.bool_]) -> str:
    """The colour of the most saturated fifth of the masked pixels: what moves, rather than the ground it uncovers."""
    pixels_NC = frames_THWC[mask_THW].astype(np.float64)
    if not len(pixels_NC):
        return ""
    chroma_N = _brightest(pixels_NC) + _brightest(-pixels_NC)
    return name_colour(pixels_NC[chroma_N >= np.quantile(chroma_N, 0.8)].mean(axis=0))


def _surrounding_colour(frames_THWC: npt.NDArray[np.uint8], active_HW: npt.NDArray[np.bool_]) -> str:
    """The colour close around what moves: for a mouth, the face."""
    ring_HW = ndimage.binary_dilation(active_HW, iterations=5) & ~ndimage.binary_dilation(active_HW, iterations=2)
    return name_colour(np.median(frames_THWC[:, ring_HW].reshape(-1, 3), axis=0))
