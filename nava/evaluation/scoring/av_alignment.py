"""Do picture and sound happen together, without a network: AV-Align, offset by correlation, onset synchrony.

Diagnostics with names of their own: a clip without speech can score as high as one with (section 2.2 of the evaluation
reference), so none of them stands in for Sync-C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nava.evaluation.scoring.score import Score, checked_array
from nava.evaluation.synchrony import ONSET_TOLERANCE_S, onset_f1, onsets
from nava.runtime.errors import InputError

MAX_LAG_FRAMES = 15
BLOCKS = 8
_CONSTANT = 1e-12


def local_maxima_s(track_T: np.ndarray, fps: float) -> np.ndarray:
    """Times in s of the values of a track [T] that are larger than both neighbours: AV-Align's peaks of the motion."""
    track_T = checked_array(track_T, "track", "T")
    inner = track_T[1:-1]
    return (np.flatnonzero((inner > track_T[:-2]) & (inner > track_T[2:])) + 1) / fps


def av_align(heard_s: np.ndarray, seen_s: np.ndarray, fps: float) -> Score:
    """AV-Align (Yariv 2024): intersection over union of sorted onset and motion-peak times in s, 0..1.

    Times that are less than a frame apart match, one to one. No value without any event: silence over a still picture
    is neither aligned nor not.
    """
    if not len(heard_s) + len(seen_s):
        return Score.missing("there are neither onsets in the sound nor peaks in the motion")
    # Strictly less than a frame, also where the times of neighbouring frames differ by a rounding error from that.
    f1 = onset_f1(np.asarray(heard_s), np.asarray(seen_s), tolerance_s=(1 - 1e-6) / fps)
    return Score(f1 / (2 - f1))  # Jaccard from Dice: m / (a + v - m) where F1 is 2 m / (a + v)


def onset_synchrony(motion_T: np.ndarray, envelope_T: np.ndarray, fps: float) -> Score:
    """F1 of the events of two tracks [T] within 80 ms, 0..1; see `nava.evaluation.synchrony`. No value without any."""
    seen_s, heard_s = (
        onsets(checked_array(track, what, "T"), fps)
        for track, what in ((motion_T, "motion"), (envelope_T, "sound envelope"))
    )
    if not len(seen_s) + len(heard_s):
        return Score.missing("there are events neither in the picture nor in the sound")
    # At 25 fps the tolerance is two frames to a rounding error: times that differ by as much must match.
    return Score(onset_f1(seen_s, heard_s, tolerance_s=ONSET_TOLERANCE_S * (1 + 1e-9)))


def block_motion(video_THWC: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """Mean absolute change against the frame before, in each of ``blocks`` x ``blocks`` parts of the picture.

    uint8 [T, H, W, 3] -> grey levels [T, blocks * blocks], row by row. The first frame repeats the second's values.
    """
    if video_THWC.ndim != 4 or video_THWC.shape[3] != 3 or video_THWC.dtype != np.uint8:
        raise InputError(f"video is uint8 [T, H, W, 3], got {video_THWC.dtype} {video_THWC.shape}")
    frames, height, width, _ = video_THWC.shape
    if frames < 2 or min(height, width) < blocks or blocks < 1:
        raise InputError(f"{blocks}x{blocks} blocks of motion need two frames of that size: {video_THWC.shape}")
    rows, columns = (np.arange(blocks) * size // blocks for size in (height, width))
    sizes_RC = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    motion_TB = np.empty((frames, blocks * blocks))
    for frame in range(1, frames):  # one at a time: a whole clip as floats takes gigabytes
        step_HW = np.abs(video_THWC[frame].astype(np.float64) - video_THWC[frame - 1]).mean(axis=2)
        sums_RC = np.add.reduceat(np.add.reduceat(step_HW, rows, axis=0), columns, axis=1)
        motion_TB[frame] = (sums_RC / sizes_RC).ravel()
    motion_TB[0] = motion_TB[1]
    return motion_TB


@dataclass(frozen=True)
class CorrelationOffset:
    """Offset of the sound, s (positive: the sound comes late), how well it fits there, and how much better than usual.

    Attributes:
        offset_s: in steps of a frame.
        correlation: at that offset, -1..1.
        prominence: correlation there minus the median over all offsets; near 0, the offset means nothing.
    """

    offset_s: Score
    correlation: Score
    prominence: Score


def correlation_offset(
    motion_TB: np.ndarray, energy_T: np.ndarray, fps: float, max_lag: int = MAX_LAG_FRAMES
) -> CorrelationOffset:
    """Lag of up to ``max_lag`` frames at which block motion [T, B] and audio energy [T] correlate best.

    The correlation of a lag is the mean of Pearson's over blocks, weighted by how much each block's motion varies:
    where nothing moves, noise does not count. Only frames that both have are compared. No value if nothing moves or
    sounds, or if the clip has fewer than three times ``max_lag`` frames.
    """
    motion_TB = checked_array(motion_TB, "block motion", "TB")
    energy_T = checked_array(energy_T, "audio energy", "T")
    if len(motion_TB) != len(energy_T):
        raise InputError(f"motion has {len(motion_TB)} frames, the sound's energy {len(energy_T)}")
    weight_B = motion_TB.std(axis=0)
    reason = ""
    if len(energy_T) < 3 * max_lag:
        reason = f"offsets of up to {max_lag} frames need {3 * max_lag} frames, the clip has {len(energy_T)}"
    elif weight_B.max() < _CONSTANT:
        reason = "the motion is constant: nothing happens in the picture"
    elif energy_T.std() < _CONSTANT:
        reason = "the energy is constant: nothing happens in the sound"
    if reason:
        return CorrelationOffset(Score.missing(reason), Score.missing(reason), Score.missing(reason))
    lags = np.arange(-max_lag, max_lag + 1)
    correlation_L = np.array([_lag_correlation(motion_TB, energy_T, weight_B, int(lag)) for lag in lags])
    best = int(correlation_L.argmax())
    peak = float(correlation_L[best])
    return CorrelationOffset(Score(float(lags[best] / fps)), Score(peak), Score(peak - float(np.median(correlation_L))))


def _lag_correlation(motion_TB: np.ndarray, energy_T: np.ndarray, weight_B: np.ndarray, lag: int) -> float:
    """Weighted mean over blocks of the correlation of motion[t] with energy[t + lag]."""
    frames = len(energy_T)
    seen_SB = motion_TB[max(0, -lag) : frames - max(0, lag)]
    heard_S = energy_T[max(0, lag) : frames - max(0, -lag)]
    seen_SB, heard_S = seen_SB - seen_SB.mean(axis=0), heard_S - heard_S.mean()
    scale_B = np.linalg.norm(seen_SB, axis=0) * np.linalg.norm(heard_S)
    # What is constant over the frames compared correlates with nothing.
    correlation_B = np.divide(heard_S @ seen_SB, scale_B, out=np.zeros_like(scale_B), where=scale_B > _CONSTANT)
    return float(correlation_B @ weight_B / weight_B.sum())
