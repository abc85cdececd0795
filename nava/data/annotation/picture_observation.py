"""What happens in a clip's picture, measured: an area that flashes, one thing that moves, mouths, columns, streaks; its
colour and its side.

All is measured on small pictures (`nava.data.clip_media.small_pictures`), and a kind is claimed only of a scene that
looks drawn: of a film no more is said than its prevailing colour, and whether it stands still.
"""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nava.data.annotation import drawn_scene
from nava.data.annotation.drawn_scene import brightest
from nava.data.clip_media import small_pictures

_ACTIVE_RANGE = 30.0  # brightness steps (0-255) between a pixel's darkest and brightest moment
_LEAST_REGION = 0.004  # of the picture
_FLASH_SHARE = 0.93  # of the variance that one common course explains
_MOUTH_SHARE = 0.45
_FLASH_FILL = 0.85  # of its bounding box
_MOUTH_AREA = 0.13  # of the picture
_STREAK_SHARE = 0.12
_STREAK_REGIONS = 8
_MIN_CHROMA = 0.12
_STILL_RANGE = 16.0  # brightness steps that all but a two-hundredth of a still picture keep
# Of a film: a pixel has a colour from this saturation and brightness on, the picture from this share of its pixels on.
_MIN_SATURATION = 0.25
_MIN_VALUE = 40.0
_PREVAILING_SHARE = 0.5
# Of a drawn scene: the share of its pixels that are about as their neighbours; films mostly stay below 0.45.
_FLAT_GROUND = 0.7
_FLAT_FACES = 0.5
_GROUND_FRAMES = 7
_LEAST_GROUND = 0.3  # of the picture
_GROUND_OF_FACES = 0.7

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


_STAY_IN_PLACE = {PictureKind.FLASH, PictureKind.MOUTH, PictureKind.MOUTHS}


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


@dataclass(frozen=True)
class _Film:
    """Small pictures and what changes in them: each pixel's range of brightness, and the active regions, together."""

    frames_THWC: npt.NDArray[np.uint8]  # noqa: N815
    bright_THW: npt.NDArray[np.float32]  # noqa: N815
    range_HW: npt.NDArray[np.float32]  # noqa: N815
    regions: list[npt.NDArray[np.bool_]]
    active_HW: npt.NDArray[np.bool_]  # noqa: N815


def observe_picture(frames_THWC: npt.NDArray[np.uint8]) -> PictureObservation:
    """Classifies the pictures of a clip (uint8 RGB) of any size."""
    film = _film(small_pictures(frames_THWC))
    if not film.regions:
        if np.quantile(film.range_HW, 0.995) <= _STILL_RANGE:
            return PictureObservation(PictureKind.STILL, "", "middle")
        return _unsure(film)
    kind = _classify(film)
    if kind is PictureKind.OTHER:
        return _unsure(film)
    colour = _colour_if_drawn(kind, film)
    return _unsure(film) if colour is None else PictureObservation(kind, colour, _side(film.active_HW))


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


def prevailing_colour(frames_THWC: npt.NDArray[np.uint8]) -> str:
    """The hue that at least half of all pixels have, empty if there is none."""
    # For cv2 all frames are rows of one picture.
    rows_RWC = frames_THWC.reshape(-1, *frames_THWC.shape[2:]).astype(np.float32)
    hue, saturation, value = np.moveaxis(cv2.cvtColor(rows_RWC, cv2.COLOR_RGB2HSV), -1, 0)
    coloured = (saturation >= _MIN_SATURATION) & (value >= _MIN_VALUE)
    ends, names = zip(*_HUES, strict=True)
    numbers = np.searchsorted(ends, hue[coloured], side="right")
    shares = dict.fromkeys(names, 0.0)
    for number, count in enumerate(np.bincount(numbers, minlength=len(names))):
        shares[names[number]] += count / hue.size
    name = max(shares, key=lambda name: shares[name])
    return name if shares[name] >= _PREVAILING_SHARE else ""


def _film(frames_THWC: npt.NDArray[np.uint8]) -> _Film:
    bright_THW = brightest(frames_THWC).astype(np.float32)
    range_HW = np.ptp(bright_THW, axis=0)
    regions = _regions(range_HW > _ACTIVE_RANGE)
    active_HW = np.logical_or.reduce(regions) if regions else np.zeros(range_HW.shape, bool)
    return _Film(frames_THWC, bright_THW, range_HW, regions, active_HW)


def _unsure(film: _Film) -> PictureObservation:
    return PictureObservation(PictureKind.OTHER, prevailing_colour(film.frames_THWC), "middle")


def _colour_if_drawn(kind: PictureKind, film: _Film) -> str | None:
    """The name of the colour of what changes; None unless it has the form of its kind, on a flat and calm ground."""
    frames_THWC, active_HW = film.frames_THWC, film.active_HW
    is_mouth = kind in (PictureKind.MOUTH, PictureKind.MOUTHS)
    # Where all but one place keeps still a few frames show the ground; rain falls everywhere.
    step = -(-len(frames_THWC) // _GROUND_FRAMES) if kind in _STAY_IN_PLACE else 1
    median_HWC = _median(frames_THWC[::step])
    if drawn_scene.flat_share(median_HWC) < (_FLAT_FACES if is_mouth else _FLAT_GROUND):
        return None
    if kind is not PictureKind.STREAKS:
        least_ground = _GROUND_OF_FACES if is_mouth else _LEAST_GROUND
        if not drawn_scene.rests(film.range_HW, active_HW, least_ground):
            return None
    if is_mouth:
        is_open = drawn_scene.is_dark_in_light(film.bright_THW, active_HW)
        return _surrounding_colour(frames_THWC, active_HW) if is_open else None
    if kind is PictureKind.FLASH:
        # It fills its box and keeps to one course, or it would be of another kind.
        return flash_colour(frames_THWC, active_HW)
    return _colour_of_moving(kind, film, median_HWC)


def _colour_of_moving(kind: PictureKind, film: _Film, median_HWC: npt.NDArray[np.int16]) -> str | None:
    frames_THWC, active_HW = film.frames_THWC, film.active_HW
    # Where a frame differs from the clip's median picture.
    moving_THW = brightest(np.abs(frames_THWC - median_HWC)) > _ACTIVE_RANGE
    vivid_C = _vivid_colour(frames_THWC, moving_THW)
    has_form = True
    if kind is PictureKind.MOVING:
        has_form = drawn_scene.is_one_shape(frames_THWC, active_HW, vivid_C)
    elif kind is PictureKind.COLUMNS:
        changing_NC = frames_THWC[moving_THW & active_HW]
        has_form = drawn_scene.are_upright_boxes(film.regions) and drawn_scene.are_of_one_hue(changing_NC)
    return name_colour(vivid_C) if has_form else None


def _regions(active_HW: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    labels_HW, count = ndimage.label(active_HW)
    masks = [labels_HW == number for number in range(1, count + 1)]
    return [mask for mask in masks if mask.mean() > _LEAST_REGION]


def _classify(film: _Film) -> PictureKind:
    active_HW, regions = film.active_HW, film.regions
    course_TN = film.bright_THW[:, active_HW]
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


def _median(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    middle = len(frames_THWC) // 2
    return np.partition(frames_THWC, middle, axis=0)[middle].astype(np.int16)


def _vivid_colour(frames_THWC: npt.NDArray[np.uint8], mask_THW: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The colour of the most saturated fifth of the masked pixels: what moves, rather than the ground it uncovers."""
    pixels_NC = frames_THWC[mask_THW].astype(np.float64)
    if not len(pixels_NC):
        return np.zeros(3)
    chroma_N = brightest(pixels_NC) + brightest(-pixels_NC)
    return np.asarray(pixels_NC[chroma_N >= np.quantile(chroma_N, 0.8)].mean(axis=0), np.float64)


def _surrounding_colour(frames_THWC: npt.NDArray[np.uint8], active_HW: npt.NDArray[np.bool_]) -> str:
    """The colour close around what moves: for a mouth, the face."""
    pixels_NC = frames_THWC[:, drawn_scene.ring(active_HW)].reshape(-1, 3)
    return name_colour(np.median(pixels_NC, axis=0))
