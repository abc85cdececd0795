"""Audio-video offset by `block_xcorr`: the onset strength of the sound against what changes in blocks of the picture.

This is a correlation, not a learned synchrony metric such as SyncNet or Synchformer, and never bears their names. It
means something only where sound has separate events, so it comes with a confidence and stays silent on periodic, tonal
and silent sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nava.config.curation import ClipConfig, IntegrityConfig
from nava.data.curation.media import source_track
from nava.data.curation.source_stages import SourceStage
from nava.data.curation.stage import SourceTask
from nava.data.curation.transcode import cut_sound

BACKEND = "block_xcorr"
_LONELY_DISCOUNT = 0.35

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OffsetScore:
    """How much later the sound comes than the picture, in seconds, and how far this stands out (0 to 1)."""

    offset_s: float
    confidence: float


@dataclass
class SynchronyStage(SourceStage):
    """Offset of sound against picture, pooled over the clips of one source, since a recorder's delay is one per
    file.

    Adds:
        av_offset_s: how much later the sound comes than the picture. av_conf: how far this stands out (0 to 1).
    """

    clip: ClipConfig
    limits: IntegrityConfig
    max_lag_s: float
    block_pixels: int = 8
    best_blocks: int = 6
    name: ClassVar[str] = "synchrony"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = ("t0_us", "n_frames")
    adds: ClassVar[tuple[str, ...]] = ("av_offset_s", "av_conf", "av_backend")

    @property
    def max_lag(self) -> int:
        """Largest lag in frames."""
        return round(self.max_lag_s * self.clip.fps)

    def examine(self, task: SourceTask) -> None:
        """One offset for all clips of the source that have pictures."""
        clips = [clip for clip in task.open_clips if clip.has_picture]
        if not clips:
            return
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        curves = []
        for clip in clips:
            window = clip.work["window"]
            samples = self.clip.samples_16k(window.frames)
            audio = cut_sound(track.audio[None], track.sample_rate_hz, window.t0_s, samples, window.end_s)[0]
            curves.append(self.curve(track.small_luma_THW[clip.work["frames_T"]], audio, track.sample_rate_hz))
        offset = self.pooled(curves)
        for clip in clips:
            clip.row |= {
                "av_backend": BACKEND,
                "av_offset_s": offset.offset_s if offset else None,
                "av_conf": offset.confidence if offset else None,
            }

    def curve(self, luma_THW: npt.NDArray[np.uint8], audio: npt.NDArray[np.float32], rate_hz: int) -> Curve | None:
        """Correlation at lags -max..max frames, at each the mean of its best blocks; None where the sound has no
        separate events.
        """
        onset_T = onset_strength(audio, rate_hz, self.clip.fps, len(luma_THW))
        if onset_T is None or _is_periodic(onset_T, self.clip.fps):
            return None
        size = self.block_pixels
        frames, height, width = luma_THW.shape
        blocks = luma_THW[:, : height // size * size, : width // size * size].astype(np.float32)
        blocks_TN = (
            blocks.reshape(frames, height // size, size, width // size, size).mean(axis=(2, 4)).reshape(frames, -1)
        )
        change_TN = np.diff(blocks_TN, axis=0, prepend=blocks_TN[:1])
        features_TN = np.concatenate([np.maximum(change_TN, 0), np.abs(change_TN)], axis=1)
        moving_N = features_TN.std(axis=0) > 0.2
        if not moving_N.any():
            return None
        curves_NL = _cross_correlate(features_TN[:, moving_N], onset_T, self.max_lag)
        return np.asarray(np.sort(curves_NL, axis=0)[-self.best_blocks :].mean(axis=0))

    def pooled(self, curves: list[Curve | None]) -> OffsetScore | None:
        """The offset all clips of a source agree on; None if no clip had anything to compare."""
        usable = [curve for curve in curves if curve is not None]
        if not usable:
            return None
        pooled_L = np.mean(usable, axis=0)
        peak = int(np.argmax(pooled_L))
        near = round(0.1 * self.clip.fps)
        rest = np.delete(pooled_L, np.arange(max(peak - near, 0), min(peak + near + 1, len(pooled_L))))
        rival = max(float(rest.max()), 0.0)
        clear = float(np.clip(1.0 - rival / pooled_L[peak], 0.0, 1.0)) if pooled_L[peak] > 0.25 else 0.0
        # A few events in one clip can line up by chance; what several clips agree on cannot.
        confidence = clear * (1.0 - _LONELY_DISCOUNT / len(usable))
        return OffsetScore((peak - self.max_lag + _vertex(pooled_L, peak)) / self.clip.fps, confidence)


def onset_strength(audio: npt.NDArray[np.float32], rate_hz: int, fps: int, frames: int) -> Curve | None:
    """Rise of the level per frame (float64 [frames]), or None for sound that is silent or never rises."""
    # What a frame shows happened before its time: it goes with the sound since the frame before it.
    edges = np.maximum(np.round((np.arange(frames + 1) - 1) * rate_hz / fps), 0).astype(int)
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])[np.minimum(edges, len(audio))]
    rms_T = np.sqrt(np.maximum(np.diff(energy), 0) / (rate_hz / fps))
    if rms_T.max() < 1e-3:
        return None
    level_T = rms_T / rms_T.max()
    onset_T = np.maximum(np.diff(level_T, prepend=level_T[0]), 0)
    onset_T[:2] = 0.0  # the clip's start is no onset
    return onset_T if onset_T.max() > 0.15 else None


def _is_periodic(onset_T: Curve, fps: int) -> bool:
    """Whether the onsets repeat so regularly that a shift by one period looks like no shift."""
    centred = onset_T - onset_T.mean()
    power = np.correlate(centred, centred, "full")[len(centred) - 1 :]
    share = np.arange(len(power), 0, -1) / len(power)
    lags = slice(round(0.15 * fps), round(1.0 * fps))
    return bool((power[lags] / (power[0] * share[lags])).max() > 0.85)


def _cross_correlate(features_TN: npt.NDArray[np.float64], onset_T: Curve, max_lag: int) -> npt.NDArray[np.float64]:
    """Pearson correlation of each feature with the onsets, at each lag, over the frames both have. Positive lag: the
    sound is late.
    """
    frames = len(onset_T)
    curves = []
    for lag in range(-max_lag, max_lag + 1):
        seen = features_TN[max(-lag, 0) : frames - max(lag, 0)]
        heard = onset_T[max(lag, 0) : frames - max(-lag, 0)]
        seen, heard = seen - seen.mean(axis=0), heard - heard.mean()
        scale = np.sqrt((seen**2).sum(axis=0) * (heard**2).sum())
        curves.append((seen * heard[:, None]).sum(axis=0) / np.maximum(scale, 1e-9))
    return np.stack(curves, axis=1)


def _vertex(curve_L: Curve, peak: int) -> float:
    """Where between frames the peak lies, by a parabola through three points."""
    if not 0 < peak < len(curve_L) - 1:
        return 0.0
    left, top, right = curve_L[peak - 1 : peak + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
