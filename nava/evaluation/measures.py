"""One decoded clip reduced to the few numbers that all metrics are made of; small enough to keep for every clip."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nava.evaluation.attributes import dominant_frequency_hz, flash_colour
from nava.evaluation.tracks import audio_envelope, brightness, motion

TRACK_DIGITS = 6  # what JSON keeps of a track: far below what any metric can see


@dataclass(frozen=True)
class Measures:
    """What a clip looks and sounds like over time. Tracks have one value per video frame."""

    brightness: tuple[float, ...]
    motion: tuple[float, ...]
    envelope: tuple[float, ...]
    colour_rgb: tuple[float, ...] | None
    frequency_hz: float | None
    grain: float

    def visual(self, scored: bool) -> np.ndarray:
        """The track that follows the events: brightness for the scored family (it flashes), motion for the others."""
        return np.asarray(self.brightness if scored else self.motion)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Measures:
        """The inverse of `to_dict`, also after JSON."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)


def measure(video_THWC: np.ndarray, audio: np.ndarray, sample_rate_hz: int, fps: int) -> Measures:
    """Measure a clip. ``video_THWC`` is uint8 RGB, ``audio`` mono float in [-1, 1]."""
    colour = flash_colour(video_THWC)
    frequency = dominant_frequency_hz(audio, sample_rate_hz)
    return Measures(
        brightness=_track(brightness(video_THWC)),
        motion=_track(motion(video_THWC)),
        envelope=_track(audio_envelope(audio, sample_rate_hz, fps, len(video_THWC))),
        colour_rgb=None if colour is None else tuple(round(float(c), TRACK_DIGITS) for c in colour),
        frequency_hz=frequency,
        grain=round(picture_grain(video_THWC), TRACK_DIGITS),
    )


def picture_grain(video_THWC: np.ndarray) -> float:
    """How much still parts flicker: median over pixels of the mean absolute change per frame, in grey levels.

    A median, so that what moves or flashes does not count as long as it covers less than half of the picture.
    """
    if len(video_THWC) < 2:
        return 0.0
    frames = video_THWC.astype(np.float32).mean(axis=3)
    return float(np.median(np.abs(np.diff(frames, axis=0)).mean(axis=0)))


def _track(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), TRACK_DIGITS) for value in values)
