"""What colour flashes and how high it sounds: measured from a clip, then called by the nearest word.

Protocols: ``colour.flash-hue.v1`` and ``pitch.dominant-frequency.v1``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

COLOUR_PROTOCOL = "colour.flash-hue.v1"
PITCH_PROTOCOL = "pitch.dominant-frequency.v1"

BRIGHT_SHARE = 0.2  # of the frames: those compared with as many of the darkest
LOUD_SHARE = 0.5  # of the loudest frame's envelope: what belongs to an event
MIN_FREQUENCY_HZ = 80.0
FFT_SAMPLES = 2048


def flash_colour(video_THWC: np.ndarray) -> np.ndarray | None:
    """RGB of what gets brighter: bright frames minus dark ones, pixels weighted by their change. None if nothing does.

    uint8 [T, H, W, 3] -> float [3]. Averaging frames first keeps grain out: it cancels, a flash does not.
    """
    frames = video_THWC.astype(np.float64)
    order = np.argsort(frames.max(axis=3).mean(axis=(1, 2)), kind="stable")
    count = max(1, round(BRIGHT_SHARE * len(frames)))
    change_HWC = frames[order[-count:]].mean(axis=0) - frames[order[:count]].mean(axis=0)
    weight_HW = np.linalg.norm(change_HWC, axis=2)
    if weight_HW.max() < 1.0:
        return None
    colour: np.ndarray = (change_HWC * weight_HW[..., None]).sum(axis=(0, 1)) / weight_HW.sum()
    return colour


def nearest_hue(colour: np.ndarray, words: Mapping[str, tuple[float, ...]]) -> str:
    """The word whose hue is nearest by cosine, grey removed on both sides. ``words`` maps each to its RGB."""
    hue = _hue(colour)
    return max(words, key=lambda word: float(_hue(np.asarray(words[word], dtype=np.float64)) @ hue))


def dominant_frequency_hz(audio: np.ndarray, sample_rate_hz: int) -> float | None:
    """The frequency with the most power in the loud parts of a mono clip; None for a silent one."""
    hop = FFT_SAMPLES // 4
    padded = np.pad(audio.astype(np.float64), (0, max(0, FFT_SAMPLES - len(audio))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::hop]
    level = np.sqrt((windows**2).mean(axis=1))
    if level.max() <= 1e-6:
        return None
    # Envelopes are square roots of levels, hence the square.
    loud = windows[level >= LOUD_SHARE**2 * level.max()]
    power = (np.abs(np.fft.rfft(loud * np.hanning(FFT_SAMPLES), axis=1)) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(FFT_SAMPLES, 1 / sample_rate_hz)
    power[frequency < MIN_FREQUENCY_HZ] = 0.0
    return float(frequency[int(power.argmax())])


def nearest_pitch(frequency_hz: float, words: Mapping[str, float]) -> str:
    """The word whose frequency is nearest on the scale of octaves. ``words`` maps each to Hz."""
    return min(words, key=lambda word: abs(math.log2(frequency_hz / words[word])))


def _hue(colour: np.ndarray) -> np.ndarray:
    chroma = colour - colour.mean()
    norm = float(np.linalg.norm(chroma))
    return chroma / norm if norm > 0 else chroma
