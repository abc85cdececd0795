"""Log-mel filter banks as Kaldi computes them, and the audio input of ImageBind that is made of them.

Section 1.3 of the evaluation reference. The settings that ImageBind leaves at Kaldi's defaults are those of Kaldi's
feature extraction: mean of each frame removed, pre-emphasis 0.97 within the frame, power spectrum of 512 points, mel
filters from 20 Hz to Nyquist, only frames that fit whole.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nava.evaluation.scoring.score import checked_array
from nava.runtime.errors import InputError

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400  # 25 ms
STEP_SAMPLES = 160  # 10 ms
FFT_SIZE = 512
MEL_BINS = 128
LOWEST_HZ = 20.0
PREEMPHASIS = 0.97
_FLOOR = float(np.finfo(np.float32).eps)

CLIP_S = 2.0
CLIPS = 3
INPUT_FRAMES = 204
INPUT_MEAN = -4.268
INPUT_STD = 9.138


def fbank(samples_N: np.ndarray) -> np.ndarray:
    """Natural log of mel energies [frames, 128] of 16 kHz samples [N] in -1..1, without dither.

    The number of frames is 1 + (N - 400) // 160. InputError for less than one frame.
    """
    samples_N = checked_array(samples_N, "samples", "N")
    if len(samples_N) < WINDOW_SAMPLES:
        raise InputError(f"a filter bank needs {WINDOW_SAMPLES} samples (25 ms at 16 kHz), there are {len(samples_N)}")
    frame_TW = np.lib.stride_tricks.sliding_window_view(samples_N, WINDOW_SAMPLES)[::STEP_SAMPLES]
    frame_TW = frame_TW - frame_TW.mean(axis=1, keepdims=True)
    # The first sample of a frame is its own predecessor.
    before_TW = np.concatenate([frame_TW[:, :1], frame_TW[:, :-1]], axis=1)
    windowed_TW = (frame_TW - PREEMPHASIS * before_TW) * np.hanning(WINDOW_SAMPLES)
    power_TF = np.abs(np.fft.rfft(windowed_TW, FFT_SIZE)) ** 2
    return np.log(np.maximum(power_TF @ mel_triangles().T, _FLOOR))


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:
    """Filters [128, 257], triangles on the mel scale 1127 ln(1 + f / 700), peak 1; none reaches the Nyquist bin."""
    corner_M = np.linspace(_mel(LOWEST_HZ), _mel(SAMPLE_RATE_HZ / 2), MEL_BINS + 2)
    bin_mel_F = _mel(np.arange(FFT_SIZE // 2 + 1) * SAMPLE_RATE_HZ / FFT_SIZE)
    low, centre, high = corner_M[:-2, None], corner_M[1:-1, None], corner_M[2:, None]
    triangle_MF = np.minimum((bin_mel_F - low) / (centre - low), (high - bin_mel_F) / (high - centre))
    triangle_MF[:, -1] = 0.0
    return np.maximum(triangle_MF, 0.0)


def imagebind_audio(samples_N: np.ndarray) -> np.ndarray:
    """What ImageBind hears of one clip of about 2 s [1, 128, 204], from 16 kHz samples [N] in -1..1.

    Mean subtracted, filter bank, padded with zeros or cut to 204 frames, then normalised: padding becomes 4.268 / 9.138
    and not 0, as published.
    """
    samples_N = checked_array(samples_N, "samples", "N")
    mel_MT = fbank(samples_N - samples_N.mean()).T[:, :INPUT_FRAMES]
    mel_MT = np.pad(mel_MT, ((0, 0), (0, INPUT_FRAMES - mel_MT.shape[1])))
    return ((mel_MT - INPUT_MEAN) / INPUT_STD)[None]


def clip_spans_s(duration_s: float, clips: int = CLIPS, clip_s: float = CLIP_S) -> list[tuple[float, float]]:
    """Start and end in s of clips evenly spaced from the start to the end of a file; all alike if it is shorter."""
    if duration_s <= 0 or clips < 1:
        raise InputError(f"clips are cut from something: got {duration_s} s and {clips} clips")
    room_s = max(0.0, duration_s - clip_s)
    starts_s = np.linspace(0.0, room_s, clips) if clips > 1 else np.zeros(1)
    return [(float(start_s), float(min(start_s + clip_s, duration_s))) for start_s in starts_s]


def _mel(frequency_hz: float | np.ndarray) -> np.ndarray:
    return np.asarray(1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0))
