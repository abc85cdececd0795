"""Burnt-in text: a cheap look at the bands where subtitles and titles stand, then OCR where something text-like is
there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import ClipRow, TextCheck
from nava.config.curation import ClipConfig, IntegrityConfig, TextConfig
from nava.data.curation.decoding import Still, stills_between
from nava.data.curation.media import source_track
from nava.data.curation.source_stages import SourceStage
from nava.data.curation.stage import Resources, SourceTask

TOP_BAND = 0.15  # of the picture's height
BOTTOM_BAND = 0.35
_STRONG_EDGE = 24  # luma steps (0-255) across two pixels
_STROKES_PER_WINDOW = 6  # crossings of strokes in a window as wide as the band is high / 4
_OCR_MIN_HEIGHT = 96  # pixels: smaller bands are enlarged, the recogniser was trained on larger letters


@dataclass(frozen=True)
class TextBox:
    """Text read in a frame: corners as shares of the picture, the text, the recogniser's score, and when (s)."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    score: float
    time_s: float


class TextReader(Protocol):
    """Reads text in a picture.

    Attributes:
        name: as records carry it. proven: whether it has run on its real weights.
    """

    name: str
    proven: bool

    def read(self, luma_HW: npt.NDArray[np.uint8]) -> list[tuple[npt.NDArray[np.float64], str, float]]:
        """Corners [4, 2] in pixels (x, y), the text, and a score from 0 to 1."""


class RapidOcrReader:
    """PP-OCR models through ONNX, inside the wheel of `rapidocr`."""

    name = "rapidocr"
    proven = True

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        one = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        size = {"Det.limit_type": "max", "Det.limit_side_len": 960}
        self._engine: Any = RapidOCR(params={"Global.log_level": "error", "Global.use_cls": False, **size, **one})

    def read(self, luma_HW: npt.NDArray[np.uint8]) -> list[tuple[npt.NDArray[np.float64], str, float]]:
        """Detection and recognition; detection alone finds text where there is none."""
        result = self._engine(cv2.cvtColor(luma_HW, cv2.COLOR_GRAY2BGR))
        if result.txts is None:
            return []
        found = zip(result.boxes, result.txts, result.scores, strict=True)
        return [(np.asarray(corners, dtype=float), text, float(score)) for corners, text, score in found]


@dataclass
class TextStage(SourceStage):
    """Looks for burnt-in text in the top 15 % and bottom 35 % of a few stills per clip, at source resolution.

    A cheap look for the strokes of letters comes first: only stills that pass it are read.
    """

    clip: ClipConfig
    limits: IntegrityConfig
    config: TextConfig
    name: ClassVar[str] = "text"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = ("t0_us", "t1_us")
    adds: ClassVar[tuple[str, ...]] = ("text_check", "text_backend", "ocr_boxes", "crop")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1500)
    _reader: TextReader | None = field(default=None, repr=False, compare=False)

    def examine(self, task: SourceTask) -> None:
        """Checks every open clip with pictures."""
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        for clip in task.open_clips:
            if clip.has_picture:
                clip.row |= self._columns(stills_between(track.stills, clip.row["t0_us"], clip.row["t1_us"]))
            else:
                clip.row["text_check"] = str(TextCheck.NOT_CHECKED)

    def _columns(self, stills: list[Still]) -> ClipRow:
        scored = [(max(text_edge_share(band) for band in _bands(still.luma_HW)), still) for still in stills]
        suspects = [(share, still) for share, still in scored if share >= self.config.min_edge_share]
        if not stills:
            return {"text_check": str(TextCheck.NOT_CHECKED)}
        if not suspects:
            return {"text_check": str(TextCheck.NO_EDGES), "ocr_boxes": []}
        suspects.sort(key=lambda pair: (-pair[0], pair[1].time_s))
        boxes = [box for _, still in suspects[: self.config.frames_per_clip] for box in self._read(still)]
        reader = self._loaded()
        return {
            "text_check": str(TextCheck.READ),
            "text_backend": reader.name if reader.proven else f"{reader.name} (unproven)",
            "ocr_boxes": [asdict(box) for box in boxes],
        }

    def _read(self, still: Still) -> list[TextBox]:
        top, bottom = _bands(still.luma_HW)
        height, width = still.luma_HW.shape
        both = np.concatenate([top, bottom])
        scale = max(1, -(-_OCR_MIN_HEIGHT // len(both)))
        image = cv2.resize(both, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else both
        boxes = []
        for corners, text, score in self._loaded().read(np.asarray(image, np.uint8)):
            points = corners / scale
            (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            skipped = height - len(bottom) - len(top) if (y0 + y1) / 2 >= len(top) else 0
            place = (x0 / width, (y0 + skipped) / height, x1 / width, (y1 + skipped) / height)
            boxes.append(TextBox(*place, text=text, score=score, time_s=still.time_s))
        return boxes

    def _loaded(self) -> TextReader:
        if self._reader is None:
            self._reader = RapidOcrReader()
        return self._reader


def subtitle_boxes(row: ClipRow, config: TextConfig) -> list[dict[str, Any]]:
    """The text boxes of a clip that count as subtitles or titles burnt into what is kept of the picture."""
    crop = row.get("crop")
    found = []
    for box in row.get("ocr_boxes") or []:
        letters = sum(character.isalnum() for character in box["text"])
        if letters < config.min_characters or box["score"] < config.min_score:
            continue
        if crop is None or (box["y1"] > crop["y0"] and box["y0"] < crop["y1"]):
            found.append(box)
    return found


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
