"""Scores of picture and sound. Nothing is decided here: every clip gets every score, the filters read them later."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyloudnorm

from nava.config.curation import FilterConfig
from nava.data.curation.decoding import Still
from nava.data.curation.windows import Window

MIN_LEVEL_DB = -120.0  # stands for silence, so that no score is infinite
_METER_BLOCK_S = 0.4  # pyloudnorm refuses anything shorter
_SILENCE_HOP_S = 0.02
_CLIPPED = 0.985
_STEP = 10  # steps (0-255) of the most changed channel that a pixel must make to count as moving
_MOVING_SHARE = 0.001  # of the pixels, below which two frames are the same picture


@dataclass(frozen=True)
class PictureScores:
    """Scores of a clip's pictures.

    Attributes:
        sharpness: Laplacian standard deviation (luma steps, 0-255) of the sharpest tile of the sharpest still.
        motion: mean step of the most changed channel between frames (0-255).
        static_ratio: share of frame steps in which nothing moves.
    """

    sharpness: float | None
    motion: float
    static_ratio: float


@dataclass
class PictureStage:
    """Sharpness at source resolution, motion at clip resolution."""

    tiles: int = 4
    name: str = "picture"
    version: str = "1"

    def process(self, window: Window, stills: list[Still]) -> PictureScores:
        """Scores of one clip; `stills` are those of its time span."""
        assert window.frames_THWC is not None
        frames_THWC = window.frames_THWC
        step_THW = np.maximum.reduce(
            [cv2.absdiff(frames_THWC[1:, ..., one], frames_THWC[:-1, ..., one]) for one in range(3)]
        )
        moving_T = (step_THW > _STEP).mean(axis=(1, 2))
        sharp = [self._sharpness(still.luma_HW) for still in stills]
        return PictureScores(max(sharp, default=None), float(step_THW.mean()), float((moving_T < _MOVING_SHARE).mean()))

    def _sharpness(self, luma_HW: npt.NDArray[np.uint8]) -> float:
        """The sharpest tile decides: a plain background says nothing about focus."""
        edges_HW = cv2.Laplacian(luma_HW, cv2.CV_32F)
        rows = [part for part in np.array_split(edges_HW, self.tiles) if part.size]
        return float(max(tile.std() for row in rows for tile in np.array_split(row, self.tiles, axis=1) if tile.size))


@dataclass(frozen=True)
class SoundScores:
    """Scores of a clip's sound.

    Attributes:
        lufs: integrated loudness (ITU-R BS.1770), -120 for silence. peak_db: sample peak in dBFS.
        clip_ratio: share of samples at full scale. silence_ratio: share of 20 ms blocks below the silence level.
    """

    lufs: float
    peak_db: float
    clip_ratio: float
    silence_ratio: float


@dataclass
class SoundStage:
    """Loudness, clipping and silence."""

    thresholds: FilterConfig
    name: str = "sound"
    version: str = "1"

    def process(self, audio: npt.NDArray[np.float32], rate_hz: int) -> SoundScores:
        """Scores of mono samples of any length."""
        peak = float(np.abs(audio).max()) if len(audio) else 0.0
        hop = int(_SILENCE_HOP_S * rate_hz)
        blocks = audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64)
        level_db = to_db(np.sqrt((blocks**2).mean(axis=1))) if len(blocks) else np.array([MIN_LEVEL_DB])
        return SoundScores(
            lufs=_lufs(audio, rate_hz),
            peak_db=float(to_db(np.array(peak))),
            clip_ratio=float((np.abs(audio) > _CLIPPED).mean()) if len(audio) else 0.0,
            silence_ratio=float((level_db < self.thresholds.silence_dbfs).mean()),
        )


def to_luma(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """BT.601 luma, float32 [T, height, width], 0-255."""
    return np.asarray(frames_THWC @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def to_db(amplitude: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Amplitude to dBFS, not below -120."""
    return np.asarray(20 * np.log10(np.maximum(amplitude, 10 ** (MIN_LEVEL_DB / 20))))


def _lufs(audio: npt.NDArray[np.float32], rate_hz: int) -> float:
    if len(audio) < _METER_BLOCK_S * rate_hz or not np.abs(audio).max() > 0:
        return MIN_LEVEL_DB
    with np.errstate(divide="ignore"):
        loudness = float(pyloudnorm.Meter(rate_hz).integrated_loudness(audio.astype(np.float64)))
    return max(loudness, MIN_LEVEL_DB) if np.isfinite(loudness) else MIN_LEVEL_DB
