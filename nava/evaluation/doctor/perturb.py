"""Clips spoilt in known ways: each perturbation as a function on frames and samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nava.evaluation.catalogue.perturbations import PERTURBATIONS

SHIFT_S = 0.4
BLUR_SIGMA = 2.5
DARKER = 0.6
QUIETER_DB = 12.0
DRIVE_DB = 30.0
SUBTITLE = "SEE YOU TOMORROW"


@dataclass(frozen=True)
class Clip:
    """A clip in memory: frames uint8 [T, H, W, 3], samples mono float32 [N]; and what it is asked to be."""

    frames_THWC: np.ndarray  # noqa: N815
    samples_N: np.ndarray  # noqa: N815
    fps: float
    sample_rate_hz: int
    spoken_text: str = ""


Perturb = Callable[[Clip, Clip], Clip]
"""Of a clip and another one of its kind, from which what is swapped is taken."""


def _shifted(clip: Clip, _other: Clip) -> Clip:
    late = round(SHIFT_S * clip.sample_rate_hz)
    return replace(clip, samples_N=np.concatenate([np.zeros(late, np.float32), clip.samples_N[:-late]]))


def _noisy(below_db: float) -> Perturb:
    """White noise that many dB below the sound."""

    def perturb(clip: Clip, _other: Clip) -> Clip:
        noise_N = np.random.default_rng(0).standard_normal(len(clip.samples_N))
        level = np.sqrt(np.mean(clip.samples_N.astype(np.float64) ** 2)) * 10 ** (-below_db / 20)
        return replace(clip, samples_N=np.clip(clip.samples_N + level * noise_N, -1, 1).astype(np.float32))

    return perturb


def _swapped_sound(clip: Clip, other: Clip) -> Clip:
    sound = np.resize(other.samples_N, len(clip.samples_N)) if len(other.samples_N) else other.samples_N
    return replace(clip, samples_N=sound)


def _swapped_text(clip: Clip, other: Clip) -> Clip:
    return replace(clip, spoken_text=other.spoken_text)


def _swapped_picture(clip: Clip, other: Clip) -> Clip:
    return replace(clip, frames_THWC=other.frames_THWC)


def _blurred(clip: Clip, _other: Clip) -> Clip:
    from scipy.ndimage import gaussian_filter

    frames = [gaussian_filter(frame, (BLUR_SIGMA, BLUR_SIGMA, 0)) for frame in clip.frames_THWC]
    return replace(clip, frames_THWC=np.stack(frames))


def _frozen(clip: Clip, _other: Clip) -> Clip:
    return replace(clip, frames_THWC=np.repeat(clip.frames_THWC[:1], len(clip.frames_THWC), axis=0))


def _flickering(clip: Clip, _other: Clip) -> Clip:
    frames = clip.frames_THWC.copy()
    frames[1::2] = (frames[1::2] * DARKER).astype(np.uint8)
    return replace(clip, frames_THWC=frames)


def _subtitled(clip: Clip, _other: Clip) -> Clip:
    import cv2

    frames = clip.frames_THWC.copy()
    height, width = frames.shape[1:3]
    scale = width / 420
    for frame in frames:
        place = (round(0.06 * width), round(0.9 * height))
        for colour, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
            cv2.putText(frame, SUBTITLE, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return replace(clip, frames_THWC=frames)


def _silent(clip: Clip, _other: Clip) -> Clip:
    return replace(clip, samples_N=np.zeros_like(clip.samples_N))


def _clipped(clip: Clip, _other: Clip) -> Clip:
    return replace(clip, samples_N=np.clip(clip.samples_N * 10 ** (DRIVE_DB / 20), -1, 1).astype(np.float32))


def _quieter(clip: Clip, _other: Clip) -> Clip:
    return replace(clip, samples_N=(clip.samples_N * 10 ** (-QUIETER_DB / 20)).astype(np.float32))


PERTURB: dict[str, Perturb] = {
    "audio_shifted": _shifted,
    "noise_20db": _noisy(20.0),
    "noise_10db": _noisy(10.0),
    "noise": _noisy(0.0),
    # The other clip is then the same words in another voice.
    "speaker_swapped": _swapped_sound,
    "text_swapped": _swapped_text,
    "sound_swapped": _swapped_sound,
    "blur": _blurred,
    "frozen": _frozen,
    "flicker": _flickering,
    "subtitles": _subtitled,
    "silence": _silent,
    "clipped": _clipped,
    "quieter": _quieter,
    "first_frame_swapped": _swapped_picture,
}
assert PERTURB.keys() == PERTURBATIONS.keys()
