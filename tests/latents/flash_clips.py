"""Draws clips of the flash family: a bar that lights up and a tone that starts, both at each event."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FPS = 24
SAMPLE_RATE_HZ = 16_000
COLOURS = {"red": (235, 60, 50), "green": (60, 220, 80), "blue": (70, 110, 240), "yellow": (240, 215, 60)}
TONES_HZ = {"low": 300.0, "middle": 720.0, "high": 1700.0}
SIDES = ("left", "right")


@dataclass(frozen=True)
class FlashClip:
    video_THWC: Tensor  # noqa: N815
    samples_N: Tensor  # noqa: N815
    event_s: tuple[float, ...]
    caption: str


def draw_flash(seed: int, frames: int = 49, samples: int = 33_280, size: int = 64) -> FlashClip:
    """One clip; everything about it follows from ``seed``."""
    random = np.random.default_rng(seed)
    colour, tone, side = random.choice(list(COLOURS)), random.choice(list(TONES_HZ)), random.choice(SIDES)
    events, moment = [], random.uniform(0.1, 0.4)
    while moment < frames / FPS - 0.05:
        events.append(float(moment))
        moment += random.uniform(0.3, 0.8)
    frame_s, sample_s = np.arange(frames) / FPS, np.arange(samples) / SAMPLE_RATE_HZ
    brightness_T = np.maximum(0.12, 0.12 + 0.88 * _decay(frame_s, events, 6.0))
    top_C, bottom_C = random.uniform(5, 45, 3), random.uniform(5, 45, 3)
    ramp_H = np.linspace(0, 1, size)[:, None, None]
    background_HWC = np.broadcast_to(top_C * (1 - ramp_H) + bottom_C * ramp_H, (size, size, 3))
    video_THWC = np.repeat(background_HWC[None], frames, axis=0).copy()
    left = (size // 8 if side == "left" else size * 5 // 8) + int(random.integers(-size // 16, size // 16 + 1))
    bar_TC = brightness_T[:, None] * np.array(COLOURS[colour])
    top = int(random.integers(size // 16, size // 4))
    video_THWC[:, top : size - size // 8, left : left + size // 4] = bar_TC[:, None, None]
    sound_N = 0.5 * _decay(sample_s, events, 9.0) * np.sin(2 * np.pi * TONES_HZ[tone] * sample_s)
    sound_N = sound_N + random.normal(0, 0.0008, samples)
    return FlashClip(
        torch.from_numpy(video_THWC.round().clip(0, 255).astype(np.uint8)),
        torch.from_numpy(sound_N.astype(np.float32)),
        tuple(events),
        f"A {colour} bar on the {side} flashes with a {tone} tone at each flash.",
    )


def draw_flashes(count: int, first_seed: int = 0) -> tuple[Tensor, Tensor]:
    """``count`` clips: uint8 video [B, 49, 64, 64, 3] and samples [B, 33280]."""
    clips = [draw_flash(first_seed + index) for index in range(count)]
    return torch.stack([clip.video_THWC for clip in clips]), torch.stack([clip.samples_N for clip in clips])


def _decay(time_s: np.ndarray, events: list[float], rate_per_s: float) -> np.ndarray:
    """Sum of exponentials that start at the events, at most 1."""
    since = time_s[:, None] - np.array(events)
    return np.where(since >= 0, np.exp(-rate_per_s * np.clip(since, 0, None)), 0.0).max(axis=1)
