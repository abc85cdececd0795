"""DeSync: offset between picture and sound by Synchformer's classes (section 1.3 of the evaluation reference)."""

from __future__ import annotations

import numpy as np

from nava.evaluation.scoring.score import Score, checked_array
from nava.runtime.errors import InputError

OFFSET_S_21 = np.linspace(-2.0, 2.0, 21)  # seconds of each class, 0.2 s apart
WINDOW_SEGMENTS = 14


def window_segments(n_segments: int) -> tuple[slice, slice]:
    """The first and the last 14 segments of a clip; they overlap in one of fewer than 28. InputError below 14."""
    if n_segments < WINDOW_SEGMENTS:
        raise InputError(f"DeSync needs {WINDOW_SEGMENTS} segments (about 4.8 s of video), the clip has {n_segments}")
    return slice(0, WINDOW_SEGMENTS), slice(n_segments - WINDOW_SEGMENTS, n_segments)


def desync(first_logits_21: np.ndarray, last_logits_21: np.ndarray) -> Score:
    """Mean |offset| in s over the first and last window of a clip, 0..2; lower is better."""
    offsets_s = [_offset_s(first_logits_21), _offset_s(last_logits_21)]
    return Score(float(np.mean(np.abs(offsets_s))))


def versebench_signed_offset(logits_21: np.ndarray) -> Score:
    """Verse-Bench's AV-A of one clip: the offset in s of a single window WITH its sign, -2..2.

    Verse-Bench averages it over clips, where early sound in one clip makes up for late sound in another:
    clips that are all 1 s off can score 0. Kept to compare with its published numbers; use `desync` to judge a model.
    """
    return Score(_offset_s(logits_21))


def _offset_s(logits_21: np.ndarray) -> float:
    logits_21 = checked_array(logits_21, "Synchformer's logits", "K")
    if len(logits_21) != len(OFFSET_S_21):
        raise InputError(f"Synchformer has {len(OFFSET_S_21)} classes, got {len(logits_21)} logits")
    return float(OFFSET_S_21[logits_21.argmax()])
