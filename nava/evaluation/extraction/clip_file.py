"""A media file as backends see it: decoded when first asked for, and once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from nava.evaluation.extraction.features import UnmeasurableError
from nava.generation.media import Media, read_mp4
from nava.latents.resampling import resample
from nava.runtime.errors import InputError

SPEECH_RATE_HZ = 16_000
MIN_SECONDS = 0.2


class ClipFile:
    """A video with or without sound, a recording, or a picture.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._resampled: dict[int, np.ndarray] = {}

    @cached_property
    def _media(self) -> Media:
        if not self.path.is_file():
            raise UnmeasurableError(f"the file {self.path.name} is missing")
        if not self.path.stat().st_size:
            raise UnmeasurableError(f"the file {self.path.name} is empty")
        try:
            media = read_mp4(self.path)
        except InputError as error:
            raise UnmeasurableError(str(error)) from error
        # What is broken in a file shows in as many ways as decoders have.
        except Exception as error:
            raise UnmeasurableError(f"{self.path.name} cannot be decoded: {type(error).__name__}: {error}") from error
        if not len(media.frames) and not media.sample_rate:
            raise UnmeasurableError(f"{self.path.name} cannot be decoded: there is neither picture nor sound in it")
        return media

    @property
    def frames_THWC(self) -> np.ndarray:  # noqa: N802
        """uint8 RGB [T, H, W, 3]. UnmeasurableError without a picture."""
        if not len(self._media.frames):
            raise UnmeasurableError("the clip has no picture")
        return self._media.frames

    @property
    def fps(self) -> float:
        """Frames per second. UnmeasurableError without a picture."""
        if not self._media.fps:
            raise UnmeasurableError("the clip has no picture")
        return float(self._media.fps)

    @property
    def sample_rate(self) -> int:
        """Samples per second of the file's own sound. UnmeasurableError without sound."""
        if not self._media.sample_rate:
            raise UnmeasurableError("the clip has no sound")
        return self._media.sample_rate

    @property
    def own_samples_N(self) -> np.ndarray:  # noqa: N802
        """Mono float32 [N] at the file's own rate. UnmeasurableError without sound, or with next to none."""
        rate, samples_N = self.sample_rate, self._media.samples
        if len(samples_N) < MIN_SECONDS * rate:
            lasts = len(samples_N) / rate
            raise UnmeasurableError(f"the sound lasts {lasts:.2f} s; at least {MIN_SECONDS:g} s are needed")
        return samples_N

    def samples_at(self, rate_hz: int = SPEECH_RATE_HZ) -> np.ndarray:
        """Mono float32 [N] at a rate."""
        if rate_hz not in self._resampled:
            import torch

            own_1N = torch.from_numpy(self.own_samples_N)[None]
            self._resampled[rate_hz] = resample(own_1N, self.sample_rate, rate_hz)[0].numpy()
        return self._resampled[rate_hz]
