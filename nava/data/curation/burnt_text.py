"""Burnt-in text: a cheap look at the bands where subtitles and titles stand, then OCR where something text-like is
there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import TextCheck
from nava.config.curation import TextConfig
from nava.data.curation.decoding import Still

TOP_BAND = 0.15  # of the picture's height
BOTTOM_BAND = 0.35
_STRONG_EDGE = 24  # luma steps (0-255) across two pixels
_STROKES_PER_WINDOW = 6  # crossings of strokes in a window as wide as the band is high / 4
_OCR_MIN_HEIGHT = 96  # pixels: smaller bands are enlarged, the recogniser was trained on larger letters


@dataclass(frozen=True)
class TextBox:
    """Text read in a frame: corners as shares of the picture, the text, and the recogniser's score."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    score: float


@dataclass(frozen=True)
class TextFinding:
    """How a clip was checked, and what was read."""

    check: TextCheck
    boxes: tuple[TextBox, ...] = ()


@dataclass
class TextStage:
    """Reads the top 15 % and bottom 35 % of one still per shot, at source resolution, for a bounded number of stills
    per source.
    """

    config: TextConfig
    name: str = "burnt_text"
    version: str = "1"
    _reader: Any = field(default=None, repr=False, compare=False)

    def process(self, stills_per_shot: list[list[Still]]) -> list[TextFinding]:
        """One finding per shot. The shots that look most like text are read first; the rest, over the cap, are
        `not_checked`.
        """
        choices = [self._choose(stills) for stills in stills_per_shot]
        suspects = [index for index, choice in enumerate(choices) if choice and choice[1] >= self.config.min_edge_share]
        suspects.sort(key=lambda index: (-choices[index][1], index))  # type: ignore[index]
        read = set(suspects[: self.config.frames_per_source])
        findings = []
        for index, choice in enumerate(choices):
            if choice is None or (index in suspects and index not in read):
                findings.append(TextFinding(TextCheck.NOT_CHECKED))
            elif index in read:
                findings.append(TextFinding(TextCheck.READ, tuple(self._read(choice[0].luma_HW))))
            else:
                findings.append(TextFinding(TextCheck.NO_EDGES))
        return findings

    def _choose(self, stills: list[Still]) -> tuple[Still, float] | None:
        """The still with the most text-like edges in its bands; None without stills."""
        scored = [(still, max(text_edge_share(band) for band in _bands(still.luma_HW))) for still in stills]
        return max(scored, key=lambda pair: pair[1], default=None)

    def _read(self, luma_HW: npt.NDArray[np.uint8]) -> list[TextBox]:
        top, bottom = _bands(luma_HW)
        height, width = luma_HW.shape
        both = np.concatenate([top, bottom])
        scale = max(1, -(-_OCR_MIN_HEIGHT // len(both)))
        image = cv2.resize(both, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else both
        result = self._engine()(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
        if result.txts is None:
            return []
        boxes = []
        for corners, text, score in zip(result.boxes, result.txts, result.scores, strict=True):
            points = np.asarray(corners, dtype=float) / scale
            (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            skipped = height - len(bottom) - len(top) if (y0 + y1) / 2 >= len(top) else 0
            place = (x0 / width, (y0 + skipped) / height, x1 / width, (y1 + skipped) / height)
            boxes.append(TextBox(*place, text=text, score=float(score)))
        return boxes

    def _engine(self) -> Any:
        """The recogniser, loaded when a still needs it; its models are inside the wheel."""
        if self._reader is None:
            from rapidocr import RapidOCR

            one = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
            size = {"Det.limit_type": "max", "Det.limit_side_len": 960}
            self._reader = RapidOCR(params={"Global.log_level": "error", "Global.use_cls": False, **size, **one})
        return self._reader


def text_edge_share(band_HW: npt.NDArray[np.uint8]) -> float:
    """How much of a band's width is crossed by strokes as close together as those of letters (0 to 1).

    Letters alternate: along a row, strong steps up and down follow each other within a few pixels. A bar, a ball or a
    horizon has one or two.
    """
    if min(band_HW.shape) < 8:
        return 0.0
    step_HW = band_HW[:, 2:].astype(np.int16) - band_HW[:, :-2]
    rising_HW, falling_HW = step_HW > _STRONG_EDGE, step_HW < -_STRONG_EDGE
    starts_HW = np.diff(rising_HW.astype(np.int8), axis=1) == 1
    stops_HW = np.diff(falling_HW.astype(np.int8), axis=1) == 1
    strokes_HW = cv2.boxFilter((starts_HW | stops_HW).astype(np.float32), -1, (25, 1), normalize=False)
    lines_H = (strokes_HW >= _STROKES_PER_WINDOW).mean(axis=1)
    # A line of text is several rows high; a single busy row is an edge seen along its length.
    return float(np.sort(lines_H)[-3:].mean()) if len(lines_H) >= 3 else 0.0


def _bands(luma_HW: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    height = len(luma_HW)
    return luma_HW[: round(height * TOP_BAND)], luma_HW[height - round(height * BOTTOM_BAND) :]
