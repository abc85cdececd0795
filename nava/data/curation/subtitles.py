"""What counts as a subtitle among the text that was read, and how much of a picture is left without it.

A subtitle stands near the middle of the width, in a band at the top or the bottom, and some text stands in that band in
another still of the clip too, or it is a long line. Other text, such as signs, labels and logos, is recorded and says
nothing about the clip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import ClipRow
from nava.config.curation import TextConfig

_ONE_STILL_S = 1.0  # a clip shorter than this may have a single still
_DIFFERENT = 3  # letters and digits of a line that differ
_LINE_MARGIN = 0.35  # of a line's height: outlines, shadows and tails reach beyond the box that is read
_BOX_MARGIN = 0.005  # of the picture's height

Place = dict[str, float]  # x0, y0, x1, y1 as shares of the picture


def subtitle_boxes(row: ClipRow, config: TextConfig) -> list[dict[str, Any]]:
    """The text boxes of a clip that count as subtitles or titles burnt into what is kept of the picture."""
    crop = row.get("crop")
    kept = [box for box in row.get("ocr_boxes") or [] if crop is None or _reaches(box, crop)]
    lines = [box for box in kept if _is_line(box, config)]
    brief = (row.get("duration_s") or 0.0) < _ONE_STILL_S
    return [box for box in lines if brief or _letters(box) >= config.min_lone_characters or _stays(box, lines)]


def _is_line(box: dict[str, Any], config: TextConfig) -> bool:
    """Whether a box looks like a line of subtitles, apart from how long it stays."""
    if _letters(box) < config.min_characters or box["score"] < config.min_score:
        return False
    # Streaks of rain read as "11 1 11".
    if len({character for character in box["text"].lower() if character.isalnum()}) < _DIFFERENT:
        return False
    if box["y1"] - box["y0"] > config.max_line_height:
        return False
    centred = abs((box["x0"] + box["x1"]) / 2 - 0.5) <= config.max_off_centre
    return centred or bool(box["x1"] - box["x0"] >= config.min_width)


def _stays(box: dict[str, Any], lines: list[dict[str, Any]]) -> bool:
    """Whether another still has a line in the same band."""
    return any(
        other["time_s"] != box["time_s"] and min(box["y1"], other["y1"]) > max(box["y0"], other["y0"])
        for other in lines
    )


def _letters(box: dict[str, Any]) -> int:
    return sum(character.isalnum() for character in box["text"])


def _reaches(box: dict[str, Any], place: Place) -> bool:
    return bool(
        box["y1"] > place["y0"] and box["y0"] < place["y1"] and box["x1"] > place["x0"] and box["x0"] < place["x1"]
    )


def crop_without(boxes: list[dict[str, Any]], subtitles: list[dict[str, Any]], whole: Place) -> Place:
    """What is left of `whole` above and below its subtitles, and the text close to them, however little that is.

    Args:
        boxes: all text of the clip. subtitles: those of them that must go.
    """
    top, bottom = whole["y0"], whole["y1"]
    middle = (top + bottom) / 2
    waiting = sorted(subtitles, key=lambda box: box["time_s"])
    while waiting:
        for box in waiting:
            margin = _LINE_MARGIN * (box["y1"] - box["y0"]) + _BOX_MARGIN
            if (box["y0"] + box["y1"]) / 2 < middle:
                top = max(top, box["y1"] + margin)
            else:
                bottom = min(bottom, box["y0"] - margin)
        # The rest of a cut line, or a short second line, goes too.
        waiting = [box for box in boxes if _letters(box) and _touches(box, top, bottom, middle)]
    return whole | {"y0": top, "y1": bottom}


def _touches(box: dict[str, Any], top: float, bottom: float, middle: float) -> bool:
    """Whether a box in a half of the picture that loses its edge reaches over the edge of the cut."""
    if (box["y0"] + box["y1"]) / 2 < middle:
        return bool(box["y0"] < top < box["y1"])
    return bool(box["y0"] < bottom < box["y1"])


def is_croppable(
    kept: Place, whole: Place, source_size: tuple[int, int], clip_size: tuple[int, int], config: TextConfig
) -> bool:
    """Whether the cut is small enough, and what is left large enough for the clip's form.

    Args:
        source_size, clip_size: (width, height) in pixels.
    """
    cut = 1.0 - (kept["y1"] - kept["y0"]) / (whole["y1"] - whole["y0"])
    if cut > config.max_crop_share:
        return False
    width = source_size[0] * (kept["x1"] - kept["x0"])
    height = source_size[1] * (kept["y1"] - kept["y0"])
    return max(clip_size[0] / width, clip_size[1] / height) <= config.max_enlargement


def part(luma_HW: npt.NDArray[np.uint8], place: Place) -> npt.NDArray[np.uint8]:
    """A place of a picture, [H, W]."""
    height, width = luma_HW.shape
    rows = slice(round(place["y0"] * height), round(place["y1"] * height))
    return luma_HW[rows, round(place["x0"] * width) : round(place["x1"] * width)]
