"""What Synchformer is given of a clip: segments of 0.64 s every 0.32 s, as frames and as log-mel pictures.

Section 1.3 of the evaluation reference. Constants are those of v-iashin/Synchformer (`configs/sync.yaml`); how frames
are scaled is another matter in av-benchmark than in Synchformer's own example, which Verse-Bench follows.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nava.evaluation.scoring.sync_scoring import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from nava.runtime.errors import InputError

SEGMENT_FRAMES, STEP_FRAMES = 16, 8
SEGMENT_SAMPLES = SEGMENT_FRAMES * SAMPLES_PER_FRAME
SIDE = 224
# To which the short side is scaled before the middle is cut out.
AVBENCH_SHORT_SIDE = 224
VERSE_BENCH_SHORT_SIDE = 256
# Verse-Bench cuts 5 s and takes the 14 segments in their middle: two and a half frames are left on either side.
VERSE_BENCH_FRAMES = 5 * FPS
VERSE_BENCH_FIRST_FRAME = 2

MEL_BINS, MEL_FRAMES = 128, 66
TRANSFORM, WINDOW_SAMPLES, HOP = 1024, 400, 160
_FLOOR, _MEAN, _DEVIATION = 1e-6, -4.2677393, 4.5689974


def shared_frames(n_frames: int, n_samples: int) -> int:
    """How many frames at 25 fps there are both a picture and a whole stretch of 16 kHz sound for."""
    return min(n_frames, n_samples // SAMPLES_PER_FRAME)


def segment_count(n_frames: int) -> int:
    """How many segments fit into frames at 25 fps."""
    return max(0, (n_frames - SEGMENT_FRAMES) // STEP_FRAMES + 1)


def span_s(starts_S: np.ndarray) -> list[float]:
    """Start and end in s of a window of segments that are given by their first frames."""
    return [float(starts_S[0]) / FPS, float(starts_S[-1] + SEGMENT_FRAMES) / FPS]


def picture_segment(frames_THWC: np.ndarray, first_frame: int) -> np.ndarray:
    """A segment of uint8 frames at 25 fps as float32 in -1..1 [3, 16, H, W]."""
    segment_THWC = frames_THWC[first_frame : first_frame + SEGMENT_FRAMES]
    return (segment_THWC.transpose(3, 0, 1, 2).astype(np.float32) / 255 - 0.5) / 0.5


def sound_segment(samples_N: np.ndarray, first_frame: int) -> np.ndarray:
    """The log-mel picture [128, 66] of the 16 kHz sound at a segment of frames."""
    start = first_frame * SAMPLES_PER_FRAME
    return log_mel(samples_N[start : start + SEGMENT_SAMPLES])


def square(frame_HWC: np.ndarray, short_side: int) -> np.ndarray:
    """A uint8 frame, its short side scaled and the middle cut out: uint8 [224, 224, 3].

    Scaled as torchvision does: bicubic over as many pixels as one of the result covers, rounded to grey levels. A long
    side that is odd afterwards loses a column or row where Verse-Bench's re-encoding would cut it off.
    """
    import torch

    height, width = frame_HWC.shape[:2]
    short = min(height, width)
    size = (short_side * height // short, short_side * width // short)
    scaled_HWC = frame_HWC
    if size != (height, width):
        frame_1CHW = torch.from_numpy(np.ascontiguousarray(frame_HWC)).permute(2, 0, 1)[None].float()
        scaled_1CHW = torch.nn.functional.interpolate(frame_1CHW, size, mode="bicubic", antialias=True)
        scaled_HWC = scaled_1CHW[0].clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    if short_side == VERSE_BENCH_SHORT_SIDE:
        scaled_HWC = scaled_HWC[: size[0] // 2 * 2, : size[1] // 2 * 2]
    top, left = (round((length - SIDE) / 2) for length in scaled_HWC.shape[:2])
    return np.ascontiguousarray(scaled_HWC[top : top + SIDE, left : left + SIDE])


def log_mel(samples_N: np.ndarray) -> np.ndarray:
    """The log-mel picture [128, 66] of a segment of 10,240 samples, float32, about -1..1.

    As torchaudio's `MelSpectrogram`: a frame every 10 ms, centred, the segment mirrored at its ends. That makes 65
    columns; the last one is 0 before values are normalised, as published.
    """
    if samples_N.shape != (SEGMENT_SAMPLES,):
        raise InputError(f"a segment has {SEGMENT_SAMPLES} samples at {SAMPLE_RATE_HZ} Hz, got {samples_N.shape}")
    padded_N = np.pad(samples_N.astype(np.float64), TRANSFORM // 2, mode="reflect")
    frames_TW = np.lib.stride_tricks.sliding_window_view(padded_N, TRANSFORM)[::HOP]
    # The window is shorter than the transform and lies in its middle; it is periodic: its last zero is left out.
    margin = (TRANSFORM - WINDOW_SAMPLES) // 2
    window_W = np.pad(np.hanning(WINDOW_SAMPLES + 1)[:-1], margin)
    power_TF = np.abs(np.fft.rfft(frames_TW * window_W, axis=1)) ** 2
    picture_MT = np.log(mel_triangles() @ power_TF.T + _FLOOR)
    picture_MT = np.pad(picture_MT, ((0, 0), (0, MEL_FRAMES - picture_MT.shape[1])))
    return ((picture_MT - _MEAN) / (2 * _DEVIATION)).astype(np.float32)


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:
    """Filters [128, 513]: corners equal on the mel scale 2595 lg(1 + f / 700), sides straight over frequency, peak 1.

    The lowest ones are narrower than a bin, and some of them hear nothing.
    """
    highest_mel = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    corner_M = 700 * (10 ** (np.linspace(0, highest_mel, MEL_BINS + 2) / 2595) - 1)
    bin_F = np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE_HZ)
    low, centre, high = corner_M[:-2, None], corner_M[1:-1, None], corner_M[2:, None]
    return np.maximum(0.0, np.minimum((bin_F - low) / (centre - low), (high - bin_F) / (high - centre)))
