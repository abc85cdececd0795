"""Burnt-in text: a cheap look at the bands where subtitles and titles stand, then OCR where something text-like is
there; a narrow band of subtitles may be cut away.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import ClipRow, TextCheck
from nava.config.curation import ClipConfig, IntegrityConfig, TextConfig
from nava.data.curation.decoding import Still, stills_between
from nava.data.curation.media import source_track
from nava.data.curation.source_stages import SourceStage
from nava.data.curation.stage import Resources, SourceTask
from nava.data.curation.subtitles import Place, crop_without, is_croppable, part, subtitle_boxes
from nava.data.curation.text_readers import TextReader, make_reader

TOP_BAND = 0.15  # of the picture's height
BOTTOM_BAND = 0.35
WHOLE: Place = {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0}
_STRONG_EDGE = 24  # luma steps (0-255) across two pixels
_WINDOW, _STROKES_PER_WINDOW = 25, 6  # pixels, and strokes of letters that cross so many
_OCR_MIN_HEIGHT = 96  # pixels: smaller bands are enlarged, the recogniser was trained on larger letters
_PATCH, _SAME = 17, 10.0  # pixels, and mean luma step (0-255) in one such patch between stills that read the same

Luma = npt.NDArray[np.uint8]


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


@dataclass(frozen=True)
class Strip:
    """A band of a still: where it begins, as a row of the still, its rows, and how much of it looks like text."""

    first_row: int
    luma_HW: Luma  # noqa: N815
    edge_share: float


@dataclass
class TextStage(SourceStage):
    """Looks for burnt-in text in the top 15 % and bottom 35 % of a few stills per clip, at source resolution.

    A cheap look for the strokes of letters comes first: only bands that pass it are read, and one that looks as it did
    in the still before it is not read again.

    Adds:
        text_check: how far the look went. text_backend: what read. ocr_boxes: what it read, scene text included.
        crop: what is kept of the picture, where cutting away a band frees it of subtitles.
    """

    clip: ClipConfig
    limits: IntegrityConfig
    config: TextConfig
    name: ClassVar[str] = "text"
    version: ClassVar[str] = "3"
    reads: ClassVar[tuple[str, ...]] = ("t0_us", "t1_us", "width", "height")
    adds: ClassVar[tuple[str, ...]] = ("text_check", "text_backend", "ocr_boxes", "crop")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1500)
    _reader: TextReader | None = field(default=None, repr=False, compare=False)

    def examine(self, task: SourceTask) -> None:
        """Checks every open clip with pictures."""
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        for clip in task.open_clips:
            if not clip.has_picture:
                clip.row["text_check"] = str(TextCheck.NOT_CHECKED)
                continue
            stills = stills_between(track.stills, clip.row["t0_us"], clip.row["t1_us"])
            clip.row |= self.columns(stills)
            if self.config.crop:
                self._crop(clip.row, stills, (track.width, track.height))

    def columns(self, stills: list[Still]) -> ClipRow:
        """What is read in the stills of a clip."""
        if not stills:
            return {"text_check": str(TextCheck.NOT_CHECKED)}
        suspects = self._suspects(stills)
        if not suspects:
            return {"text_check": str(TextCheck.NO_EDGES), "ocr_boxes": []}
        boxes = self._read(suspects)
        reader = self._loaded()
        return {
            "text_check": str(TextCheck.READ),
            "text_backend": reader.name if reader.proven else f"{reader.name} (unproven)",
            "ocr_boxes": [asdict(box) for box in boxes],
        }

    def _suspects(self, stills: list[Still]) -> list[tuple[Still, list[Strip]]]:
        """The stills with the most text-like bands, in order of time, and those bands."""
        found = []
        for still in stills:
            strips = [strip for strip in bands(still.luma_HW) if strip.edge_share >= self.config.min_edge_share]
            if strips:
                found.append((still, strips))
        found.sort(key=lambda pair: (-max(strip.edge_share for strip in pair[1]), pair[0].time_s))
        return sorted(found[: self.config.frames_per_clip], key=lambda pair: pair[0].time_s)

    def _read(self, suspects: list[tuple[Still, list[Strip]]]) -> list[TextBox]:
        boxes: list[TextBox] = []
        before: dict[int, tuple[Luma, list[TextBox]]] = {}
        for still, strips in suspects:
            for strip in strips:
                seen = before.get(strip.first_row)
                if seen is not None and _looks_the_same(seen[0], strip.luma_HW, seen[1], still, strip.first_row):
                    read = [TextBox(**asdict(box) | {"time_s": still.time_s}) for box in seen[1]]
                else:
                    read = self._read_strip(strip, still)
                before[strip.first_row] = (strip.luma_HW, read)
                boxes += read
        return boxes

    def _read_strip(self, strip: Strip, still: Still) -> list[TextBox]:
        height, width = still.luma_HW.shape
        scale = max(1, -(-_OCR_MIN_HEIGHT // len(strip.luma_HW)))
        image = strip.luma_HW
        if scale > 1:
            image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
        boxes = []
        for corners, text, score in self._loaded().read(np.ascontiguousarray(image)):
            points = corners / scale
            (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            place = (x0 / width, (y0 + strip.first_row) / height, x1 / width, (y1 + strip.first_row) / height)
            boxes.append(TextBox(*place, text=text, score=score, time_s=still.time_s))
        return boxes

    def _crop(self, row: ClipRow, stills: list[Still], source_size: tuple[int, int]) -> None:
        """Cut the subtitles away where that leaves enough, and where nothing is read in what is left."""
        subtitles = subtitle_boxes(row, self.config)
        if not subtitles:
            return
        whole = row.get("crop") or WHOLE
        kept = crop_without(row["ocr_boxes"], subtitles, whole)
        if not is_croppable(kept, whole, source_size, (row["width"], row["height"]), self.config):
            return
        left = [Still(still.time_s, part(still.luma_HW, kept)) for still in stills]
        again = {"ocr_boxes": [asdict(box) for box in self._read(self._suspects(left))]}
        if not subtitle_boxes(row | again | {"crop": None}, self.config):
            row["crop"] = kept

    def _loaded(self) -> TextReader:
        # Loaded when there is something to read: most sources of most corpora have nothing.
        if self._reader is None:
            self._reader = make_reader(self.config)
        return self._reader


def bands(luma_HW: Luma) -> list[Strip]:
    """The bands of a still where subtitles and titles stand, the upper one first."""
    height = len(luma_HW)
    top, bottom = luma_HW[: round(height * TOP_BAND)], luma_HW[height - round(height * BOTTOM_BAND) :]
    return [Strip(first, band, text_edge_share(band)) for first, band in ((0, top), (height - len(bottom), bottom))]


def text_edge_share(band_HW: Luma) -> float:
    """How much of a band's width is crossed by strokes as close together as those of letters (0 to 1).

    Letters alternate: along a row, strong steps up and down follow each other within a few pixels. A bar, a ball or a
    horizon has one or two. The band is looked at in two sizes, since large letters are too far apart in the first.
    """
    if min(band_HW.shape) < 8:
        return 0.0
    half_HW = cv2.resize(band_HW, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return max(_stroke_share(band_HW), _stroke_share(np.asarray(half_HW, np.uint8)))


def _stroke_share(band_HW: Luma) -> float:
    step_HW = band_HW[:, 2:].astype(np.int16) - band_HW[:, :-2]
    rising_HW, falling_HW = step_HW > _STRONG_EDGE, step_HW < -_STRONG_EDGE
    starts_HW = np.diff(rising_HW.astype(np.int8), axis=1) == 1
    stops_HW = np.diff(falling_HW.astype(np.int8), axis=1) == 1
    strokes_HW = cv2.boxFilter((starts_HW | stops_HW).astype(np.float32), -1, (_WINDOW, 1), normalize=False)
    lines_H = (strokes_HW >= _STROKES_PER_WINDOW).mean(axis=1)
    # A line of text is several rows high; a single busy row is an edge seen along its length.
    return float(np.sort(lines_H)[-3:].mean()) if len(lines_H) >= 3 else 0.0


def _looks_the_same(before_HW: Luma, after_HW: Luma, read: list[TextBox], still: Still, first_row: int) -> bool:
    """Whether a band would be read as before: nothing changed in it, or, where there was text, in the rows of that."""
    if before_HW.shape != after_HW.shape:
        return False
    step_HW = cv2.blur(cv2.absdiff(before_HW, after_HW), (_PATCH, _PATCH))
    if read:
        height = len(still.luma_HW)
        first = max(int(min(box.y0 for box in read) * height) - first_row, 0)
        step_HW = step_HW[first : int(max(box.y1 for box in read) * height) - first_row + 1]
    return float(step_HW.max(initial=0)) < _SAME
