"""What tells a drawn scene from a film: a ground that rests and is flat, and compact shapes of one colour.

The kinds of `picture_observation` were set on drawn scenes. In a film the same measures name balls and columns that are
not there, so a kind counts only where the picture looks drawn. Limits lie between what 580 generated clips and real
films measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_FLAT_STEP = 4.0  # brightness steps (0-255) between neighbours
_REST_RANGE = 12.0  # steps between a resting pixel's darkest and brightest moment: what coding leaves
_RESTING_SHARE = 0.9  # of the ground
_COLOUR_STEP = 40.0  # within which a pixel has a shape's colour
_LEAST_FILL = 0.55  # of a shape's bounding box; a disc has 0.79
_MOST_OBLONG = 1.4  # longer side of the bounding box over the shorter one
_MOST_CHANGE = 0.25  # of a shape's area during the clip
_LEAST_EXPLAINED = 0.6  # of what is active, by the one shape
_SHADE_STEP = 0.2  # between two colours of equal hue, as shares of their brightest channel
_SHADE_SHARE = 0.9
_UPRIGHT_FILL = 0.8
_DARK, _LIGHT = 60.0, 100.0  # brightness of an open mouth, and of the face around it
_DARK_SHARE = 0.3  # of what is active, at its darkest moment; drawn mouths have 0.4 and more


def brightest(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The largest of the three channels; NumPy's reduction over so short an axis costs ten times as much."""
    return np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])


def flat_share(picture_HWC: npt.NDArray[np.int16]) -> float:
    """How much of a picture has about the colour of its right and lower neighbours."""
    step_HW = np.zeros(picture_HWC.shape[:2])
    step_HW[:-1] = brightest(np.abs(np.diff(picture_HWC, axis=0)))
    step_HW[:, :-1] = np.maximum(step_HW[:, :-1], brightest(np.abs(np.diff(picture_HWC, axis=1))))
    return float((step_HW <= _FLAT_STEP).mean())


def rests(range_HW: npt.NDArray[np.float32], active_HW: npt.NDArray[np.bool_], least_share: float) -> bool:
    """Whether there is a ground around what is active, of at least this share of the picture, that keeps its light."""
    ground_HW = ~ndimage.binary_dilation(active_HW, iterations=2)
    if ground_HW.mean() < least_share:
        return False
    return float((range_HW[ground_HW] <= _REST_RANGE).mean()) >= _RESTING_SHARE


def is_one_shape(
    frames_THWC: npt.NDArray[np.uint8], active_HW: npt.NDArray[np.bool_], colour_C: npt.NDArray[np.float64]
) -> bool:
    """Whether what is active is one compact thing of this colour, which keeps its size while it moves."""
    near_HW = ndimage.binary_dilation(active_HW)
    difference_THWC = np.abs(frames_THWC - colour_C.astype(np.int16))
    shape_THW = (brightest(difference_THWC) < _COLOUR_STEP) & near_HW
    area_T = shape_THW.sum(axis=(1, 2))
    height_T, width_T = _extents(shape_THW.any(axis=2)), _extents(shape_THW.any(axis=1))
    if np.quantile(area_T, 0.1) < 1:
        return False
    box_T = np.maximum(height_T * width_T, 1)
    oblong_T = np.maximum(height_T, width_T) / np.maximum(np.minimum(height_T, width_T), 1)
    change = np.quantile(area_T, 0.9) - np.quantile(area_T, 0.1)
    return bool(
        np.quantile(area_T / box_T, 0.1) >= _LEAST_FILL
        and np.quantile(oblong_T, 0.9) <= _MOST_OBLONG
        and change <= _MOST_CHANGE * np.median(area_T)
        and (shape_THW.any(axis=0) & active_HW).sum() >= _LEAST_EXPLAINED * active_HW.sum()
    )


def is_dark_in_light(bright_THW: npt.NDArray[np.float32], active_HW: npt.NDArray[np.bool_]) -> bool:
    """Whether what is active turns dark while the picture close around it is light."""
    darkest_N = bright_THW[:, active_HW].min(axis=0)
    light_N = np.median(bright_THW[:, ring(active_HW)], axis=0)
    return bool(len(light_N) and (darkest_N <= _DARK).mean() >= _DARK_SHARE and np.median(light_N) >= _LIGHT)


def ring(active_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What lies close around an area: around a mouth, the face."""
    return ndimage.binary_dilation(active_HW, iterations=5) & ~ndimage.binary_dilation(active_HW, iterations=2)


def are_upright_boxes(regions: list[npt.NDArray[np.bool_]]) -> bool:
    """Whether every region fills its bounding box."""
    return all(region.sum() >= _UPRIGHT_FILL * _box_area(region) for region in regions)


def are_of_one_hue(pixels_NC: npt.NDArray[np.uint8]) -> bool:
    """Whether the more saturated half of some pixels are shades of one colour."""
    if not len(pixels_NC):
        return False
    pixels = pixels_NC.astype(np.float64)
    chroma_N = brightest(pixels) + brightest(-pixels)
    vivid_NC = pixels[chroma_N >= np.median(chroma_N)]
    vivid_NC /= np.maximum(brightest(vivid_NC)[:, None], 1.0)
    distance_N = brightest(np.abs(vivid_NC - np.median(vivid_NC, axis=0)))
    return float((distance_N < _SHADE_STEP).mean()) >= _SHADE_SHARE


def _extents(hit_TN: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """From the first to the last hit of each row; 0 without one."""
    last_T = hit_TN.shape[1] - hit_TN[:, ::-1].argmax(axis=1)
    return np.asarray(np.where(hit_TN.any(axis=1), last_T - hit_TN.argmax(axis=1), 0), np.int64)


def _box_area(region_HW: npt.NDArray[np.bool_]) -> int:
    rows, columns = np.nonzero(region_HW)
    return int((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
