"""Scores of picture and sound. Nothing is decided here: every clip gets every score, the filters read them later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import pyloudnorm

from nava.artifacts.clip_manifest import ClipRow
from nava.config.curation import ClipConfig, IntegrityConfig
from nava.data.curation.decoding import stills_between
from nava.data.curation.media import clip_media, source_track
from nava.data.curation.source_stages import SourceStage
from nava.data.curation.stage import Clip, ClipStage, SourceTask
from nava.data.curation.subtitles import part

MIN_LEVEL_DB = -120.0  # stands for silence, so that no score is infinite
_METER_BLOCK_S = 0.4  # pyloudnorm refuses anything shorter
_SILENCE_HOP_S = 0.02
_CLIPPED = 0.985
_STEP = 10  # steps (0-255) of the most changed channel that a pixel must make to count as moving
_BLACK, _WHITE = 16.0, 239.0  # luma steps (0-255)
_BLOCK = 8  # pixels: what block-based coders cut a picture into
_MOVING_SHARE = 0.001  # of the pixels, below which two frames are the same picture


@dataclass
class PictureStage(SourceStage):
    """Sharpness and blockiness at the stills' resolution; motion, stillness and exposure at clip resolution.

    Adds:
        sharpness: Laplacian standard deviation (luma steps, 0-255) of the sharpest tile of the sharpest still.
        motion: mean step of the most changed channel between frames (0-255).
        static_ratio: share of frame steps in which nothing moves.
        blockiness: mean luma step across 8x8 block borders over the mean step inside blocks; about 1 without blocks;
            none where the source is larger than its stills (360 pixels high).
        exposure: share of the pixels that are neither nearly black nor nearly white.
    """

    clip: ClipConfig
    limits: IntegrityConfig
    tiles: int = 4
    name: ClassVar[str] = "picture"
    version: ClassVar[str] = "3"
    reads: ClassVar[tuple[str, ...]] = ("video_path", "t0_us", "t1_us", "crop")
    adds: ClassVar[tuple[str, ...]] = ("sharpness", "blockiness", "exposure", "motion", "static_ratio")

    def examine(self, task: SourceTask) -> None:
        """Scores every open clip with pictures."""
        for clip in (clip for clip in task.open_clips if clip.has_picture):
            track = source_track(task, self.clip.sample_rate_hz, self.limits)
            frames_THWC = clip_media(task, clip).frames_THWC
            assert frames_THWC is not None
            stills = [still.luma_HW for still in stills_between(track.stills, clip.row["t0_us"], clip.row["t1_us"])]
            # Blocks lie on the grid of the coded picture: they are gone from a smaller one, and moved in a part of it.
            whole = [luma_HW for luma_HW in stills if luma_HW.shape == (track.height, track.width)]
            crop = clip.row.get("crop")
            kept = [part(luma_HW, crop) for luma_HW in stills] if crop else stills
            clip.row |= self.scores(frames_THWC, kept)
            clip.row["blockiness"] = max((blockiness(luma_HW) for luma_HW in whole), default=None)

    def scores(self, frames_THWC: npt.NDArray[np.uint8], stills: list[npt.NDArray[np.uint8]]) -> ClipRow:
        """Scores of one clip's pictures, uint8 [T, H, W, 3]; `stills` are luma pictures of its time span, uint8 [H, W],
        of what is kept of the picture.
        """
        step_THW = np.maximum.reduce(
            [cv2.absdiff(frames_THWC[1:, ..., one], frames_THWC[:-1, ..., one]) for one in range(3)]
        )
        moving_T = (step_THW > _STEP).mean(axis=(1, 2))
        luma_THW = to_luma(frames_THWC)
        return {
            "sharpness": max((self._sharpness(luma_HW) for luma_HW in stills), default=None),
            "exposure": float(((luma_THW > _BLACK) & (luma_THW < _WHITE)).mean()),
            "motion": float(step_THW.mean()),
            "static_ratio": float((moving_T < _MOVING_SHARE).mean()),
        }

    def _sharpness(self, luma_HW: npt.NDArray[np.uint8]) -> float:
        """The sharpest tile decides: a plain background says nothing about focus."""
        edges_HW = cv2.Laplacian(luma_HW, cv2.CV_32F)
        rows = [part for part in np.array_split(edges_HW, self.tiles) if part.size]
        return float(max(tile.std() for row in rows for tile in np.array_split(row, self.tiles, axis=1) if tile.size))


def blockiness(luma_HW: npt.NDArray[np.uint8]) -> float:
    """Mean luma step across the borders of 8x8 blocks over the mean step elsewhere, columns and rows together."""
    across: list[npt.NDArray[np.float64]] = []
    inside: list[npt.NDArray[np.float64]] = []
    for picture in (luma_HW, luma_HW.T):
        step = np.abs(np.diff(picture.astype(np.float64), axis=1))
        border = np.arange(step.shape[1]) % _BLOCK == _BLOCK - 1
        across.append(step[:, border].ravel())
        inside.append(step[:, ~border].ravel())
    usual = np.concatenate(inside).mean() if sum(map(len, inside)) else 0.0
    border_step = np.concatenate(across).mean() if sum(map(len, across)) else 0.0
    # Half a step is what rounding alone makes: a flat picture has no blocks.
    return float((border_step + 0.5) / (usual + 0.5))


@dataclass
class SoundStage(ClipStage):
    """Loudness, clipping and silence, of the model's sound.

    Adds:
        lufs: integrated loudness (ITU-R BS.1770), -120 for silence. peak_db: sample peak in dBFS.
        clip_ratio: share of samples at full scale. silence_ratio: share of 20 ms blocks below the silence level.
    """

    silence_dbfs: float
    name: ClassVar[str] = "sound"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = ("audio_path",)
    adds: ClassVar[tuple[str, ...]] = ("lufs", "peak_db", "clip_ratio", "silence_ratio")

    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """Scores of one clip."""
        return self.scores(clip_media(task, clip).audio, clip.row["audio_sr"])

    def scores(self, audio: npt.NDArray[np.float32], rate_hz: int) -> ClipRow:
        """Scores of mono samples of any length."""
        peak = float(np.abs(audio).max()) if len(audio) else 0.0
        hop = int(_SILENCE_HOP_S * rate_hz)
        blocks = audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64)
        level_db = to_db(np.sqrt((blocks**2).mean(axis=1))) if len(blocks) else np.array([MIN_LEVEL_DB])
        return {
            "lufs": _lufs(audio, rate_hz),
            "peak_db": float(to_db(np.array(peak))),
            "clip_ratio": float((np.abs(audio) > _CLIPPED).mean()) if len(audio) else 0.0,
            "silence_ratio": float((level_db < self.silence_dbfs).mean()),
        }


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
