"""Do picture and sound happen together: correlation of tracks, and matching of onsets.

Both are compared with the same picture and the sound of another clip of its family ("shuffled"), which is what a model
gets that has learned each modality but not their timing. Neither is SyncNet's Sync-C; they have names of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

MAX_LAG_FRAMES = 1
ONSET_TOLERANCE_S = 0.08
ONSET_PROMINENCE = 0.3  # of the track's range
ONSET_DISTANCE_S = 0.2  # events of the corpora are at least 0.3 s apart

CORRELATION_PROTOCOL = "corr.lag1.v1"
ONSET_PROTOCOL = "onset-f1.80ms.v1"


def correlation(visual_T: np.ndarray, envelope_T: np.ndarray, max_lag: int = MAX_LAG_FRAMES) -> float:
    """Pearson correlation of two tracks [T], the best over lags of up to ``max_lag`` frames; nan if one is constant."""
    if visual_T.shape != envelope_T.shape or visual_T.ndim != 1:
        raise ValueError(f"tracks differ in shape: {visual_T.shape} and {envelope_T.shape}")
    found = []
    n_frames = len(visual_T)
    for lag in range(-max_lag, max_lag + 1):
        first = visual_T[max(0, lag) : n_frames + min(0, lag)]
        second = envelope_T[max(0, -lag) : n_frames + min(0, -lag)]
        found.append(_pearson(first, second))
    return float("nan") if np.isnan(found).any() else max(found)


def onsets(track_T: np.ndarray, fps: float) -> np.ndarray:
    """Times in s of a track's events: peaks that stand out by `ONSET_PROMINENCE` of its range; none if constant."""
    spread = float(track_T.max() - track_T.min()) if len(track_T) else 0.0
    if spread <= 1e-12:
        return np.empty(0)
    # Padding lets an event on the first or last frame be a peak.
    padded = np.pad(track_T, 1, constant_values=track_T.min())
    distance = max(1, round(ONSET_DISTANCE_S * fps))
    peaks, _ = find_peaks(padded, prominence=ONSET_PROMINENCE * spread, distance=distance)
    return (peaks - 1) / fps


def onset_f1(first_s: np.ndarray, second_s: np.ndarray, tolerance_s: float = ONSET_TOLERANCE_S) -> float:
    """F1 of one-to-one matching of two sorted lists of event times; nan if both are empty."""
    if len(first_s) + len(second_s) == 0:
        return float("nan")
    matched = i = j = 0
    # On a line with one tolerance, matching the earliest pair that fits is optimal.
    while i < len(first_s) and j < len(second_s):
        if abs(first_s[i] - second_s[j]) <= tolerance_s:
            matched, i, j = matched + 1, i + 1, j + 1
        elif first_s[i] < second_s[j]:
            i += 1
        else:
            j += 1
    return 2 * matched / (len(first_s) + len(second_s))


@dataclass(frozen=True)
class PairedScores:
    """Per clip [n]: the score with its own sound, and the mean over the other clips' sounds. nan: undefined."""

    paired: np.ndarray
    shuffled: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """Paired minus shuffled, per clip."""
        return self.paired - self.shuffled


def correlation_scores(visual_NT: np.ndarray, envelope_NT: np.ndarray) -> PairedScores:
    """Correlation of each clip's picture with its own and with the other clips' sound. Tracks [n, T]."""
    return _paired(len(visual_NT), lambda i, j: correlation(visual_NT[i], envelope_NT[j]))


def onset_scores(visual_NT: np.ndarray, envelope_NT: np.ndarray, fps: float) -> PairedScores:
    """Onset F1 of each clip's picture with its own and with the other clips' sound. Tracks [n, T]."""
    seen = [onsets(track, fps) for track in visual_NT]
    heard = [onsets(track, fps) for track in envelope_NT]
    return _paired(len(visual_NT), lambda i, j: onset_f1(seen[i], heard[j]))


def _paired(n_clips: int, score: Callable[[int, int], float]) -> PairedScores:
    matrix = np.array([[score(i, j) for j in range(n_clips)] for i in range(n_clips)], dtype=np.float64).reshape(
        n_clips, n_clips
    )
    shuffled = np.full(n_clips, np.nan)
    for i in range(n_clips):
        others = np.delete(matrix[i], i)
        if np.isfinite(others).any():
            shuffled[i] = np.nanmean(others)
    return PairedScores(np.diagonal(matrix).copy(), shuffled)


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / scale) if scale > 1e-12 else float("nan")
