"""What ImageBind sees and hears of a clip, in the two published protocols (section 1.3 of the evaluation reference).

Sound is the same in both. Pictures are pairs of frames, each cut three times: `official` takes first and last frame of
five clips of 2 s, scaled without smoothing; `avbench` takes neighbours of a film of half a frame per second, scaled
with it, in whole grey levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nava.evaluation.backends.frame_ticks import shown_frames
from nava.evaluation.extraction.features import UnmeasurableError
from nava.evaluation.scoring.kaldi_fbank import SAMPLE_RATE_HZ, clip_spans_s, imagebind_audio

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 224
PAIR_FRAMES = 2
CROPS = 3
PICTURE_CLIPS = 5
AVBENCH_FPS = 0.5
# CLIP's.
MEAN_RGB = (0.48145466, 0.4578275, 0.40821073)
STD_RGB = (0.26862954, 0.26130258, 0.27577711)
# What is short of a whole frame by rounding is one.
_ROUNDING = 1e-9


def sound_clips(samples_N: np.ndarray) -> np.ndarray:
    """Three clips of 2 s [3, 1, 128, 204], float32, from 16 kHz samples [N]; a shorter sound is heard three times."""
    spans_s = clip_spans_s(len(samples_N) / SAMPLE_RATE_HZ)
    # Seconds are cut to samples, not rounded.
    bounds = [(int(start_s * SAMPLE_RATE_HZ), int(end_s * SAMPLE_RATE_HZ)) for start_s, end_s in spans_s]
    return np.stack([imagebind_audio(samples_N[start:end]) for start, end in bounds]).astype(np.float32)


def official_pictures(frames_THWC: np.ndarray, fps: float) -> np.ndarray:
    """Pairs of frames [15, 3, 2, 224, 224], float32, from uint8 frames [T, H, W, 3]: five clips by three crops.

    Raises:
        UnmeasurableError: no frame lies in a clip of 2 s.
    """
    return _pictures(frames_THWC, official_frames(len(frames_THWC), fps), _scaled_official)


def avbench_pictures(frames_THWC: np.ndarray, fps: float) -> np.ndarray:
    """Pairs of frames [3 P, 3, 2, 224, 224], float32, from uint8 frames [T, H, W, 3]: P pairs by three crops.

    Raises:
        UnmeasurableError: the picture is shorter than 4 s, so that there is no pair.
    """
    return _pictures(frames_THWC, avbench_frames(len(frames_THWC), fps), _scaled_avbench)


def official_frames(n_frames: int, fps: float) -> np.ndarray:
    """First and last frame of each of five clips of 2 s, evenly spaced [5, 2].

    A clip holds the frames that begin in it. UnmeasurableError if one holds none.
    """
    pairs = []
    for start_s, end_s in clip_spans_s(n_frames / fps, PICTURE_CLIPS):
        start, end = math.ceil(fps * start_s), min(math.ceil(fps * end_s), n_frames)
        if start >= end:
            raise UnmeasurableError(f"at {fps:g} frames per second, a clip of 2 s holds none")
        pairs.append((start, end - 1))
    return np.array(pairs)


def avbench_frames(n_frames: int, fps: float) -> np.ndarray:
    """Neighbours among the frames at half a frame per second [P, 2]: each one but the ends is in two pairs.

    As by ffmpeg's filter `fps`, a tick shows the last frame whose time, in ticks, rounds to it or earlier: tick k, at
    2 k s, the one just before 2 k + 1 s. There are as many ticks as fit whole into the picture's length, so that clips
    of 5.0 s and of 5.04 s have the same number. UnmeasurableError if that is less than two.
    """
    count = math.floor(n_frames / fps * AVBENCH_FPS + _ROUNDING)
    if count < PAIR_FRAMES:
        needed_s = PAIR_FRAMES / AVBENCH_FPS
        raise UnmeasurableError(f"the picture lasts {n_frames / fps:.2f} s; at least {needed_s:g} s are needed")
    shown_K = shown_frames(n_frames, fps, AVBENCH_FPS, count)
    return np.stack([shown_K[:-1], shown_K[1:]], axis=1)


def crop_corners(height: int, width: int) -> list[tuple[int, int]]:
    """Top and left of three squares of 224 pixels: at both ends and in the middle of the longer side."""
    middle = (math.ceil((height - SIDE) / 2), math.ceil((width - SIDE) / 2))
    if height > width:
        return [(0, middle[1]), middle, (height - SIDE, middle[1])]
    return [(middle[0], 0), middle, (middle[0], width - SIDE)]


def _pictures(frames_THWC: np.ndarray, pair_P2: np.ndarray, scaled: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Pairs of frames, scaled, normalised and cut [3 P, 3, 2, 224, 224]."""
    import torch

    shown_K, place = np.unique(pair_P2, return_inverse=True)
    grey_KCHW = torch.from_numpy(frames_THWC[shown_K]).permute(0, 3, 1, 2).float()
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] for values in (MEAN_RGB, STD_RGB))
    seen_KCHW = (scaled(grey_KCHW) - mean_C11) / std_C11
    seen_PCTHW = seen_KCHW[torch.from_numpy(place.reshape(pair_P2.shape))].transpose(1, 2)
    crops = [
        seen_PCTHW[..., top : top + SIDE, left : left + SIDE] for top, left in crop_corners(*seen_PCTHW.shape[-2:])
    ]
    stacked: np.ndarray = torch.stack(crops, dim=1).flatten(0, 1).contiguous().numpy()
    return stacked


def _scaled_official(grey_KCHW: Tensor) -> Tensor:
    """Short side 224, values 0..1: linear interpolation between the nearest pixels, however much it shrinks."""
    from torch.nn import functional

    height, width = grey_KCHW.shape[-2:]
    size = (SIDE, math.floor(width / height * SIDE)) if height <= width else (math.floor(height / width * SIDE), SIDE)
    return functional.interpolate(grey_KCHW / 255, size, mode="bilinear", align_corners=False)


def _scaled_avbench(grey_KCHW: Tensor) -> Tensor:
    """Short side 224, values 0..1: cubic, smoothed where it shrinks, rounded to grey levels as pictures are stored."""
    from torch.nn import functional

    height, width = grey_KCHW.shape[-2:]
    size = (SIDE, SIDE * width // height) if height <= width else (SIDE * height // width, SIDE)
    grey_KCHW = functional.interpolate(grey_KCHW, size, mode="bicubic", align_corners=False, antialias=True)
    return grey_KCHW.round().clamp(0, 255) / 255
