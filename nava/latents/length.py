"""How many latents a clip has: the rules shared by the embedded codecs and the released ones (Wan2.2, LTX-2.3).

F video latent frames hold ``4 (F - 1) + 1`` frames, because the first frame is coded alone. A second of sound has 25.
"""

import math

from nava.runtime.errors import InputError

TEMPORAL_STRIDE = 4
VIDEO_FPS = 24
AUDIO_LATENTS_PER_S = 25
# Decimal seconds times a rate may miss a whole number by rounding.
_SLACK = 1e-6


def latents_of_frames(frames: int, temporal_stride: int = TEMPORAL_STRIDE) -> int:
    """Video latent frames of a clip of ``frames`` frames.

    Raises:
        InputError: ``frames`` is not ``temporal_stride * n + 1``.
    """
    if frames < 1 or (frames - 1) % temporal_stride:
        below = max(0, frames - 1) // temporal_stride * temporal_stride + 1
        raise InputError(
            f"a clip must have {temporal_stride}n + 1 frames, got {frames}; use {below} or {below + temporal_stride}"
        )
    return (frames - 1) // temporal_stride + 1


def frames_of_latents(latents: int, temporal_stride: int = TEMPORAL_STRIDE) -> int:
    """Frames of a clip of ``latents`` video latent frames.

    Raises:
        InputError: there is not at least one.
    """
    if latents < 1:
        raise InputError(f"a clip has at least 1 latent frame, got {latents}")
    return (latents - 1) * temporal_stride + 1


def audio_latents_of_frames(frames: int, fps: int = VIDEO_FPS) -> int:
    """Audio latents that cover a clip of ``frames`` frames: 121 frames have 127, 145 have 152."""
    if frames < 1:
        raise InputError(f"a clip has at least 1 frame, got {frames}")
    return -(-frames * AUDIO_LATENTS_PER_S // fps)


def latents_of_seconds(seconds: float, fps: int = VIDEO_FPS, temporal_stride: int = TEMPORAL_STRIDE) -> int:
    """Video latent frames of a clip of ``seconds``: ``6 s + 1``, rounded to the nearest for parts of a second.

    The clip lasts one frame longer than asked for, because its first frame is a latent of its own.

    Raises:
        InputError: the time is not above zero.
    """
    _require_time(seconds)
    return round(seconds * fps / temporal_stride) + 1


def audio_latents_of_seconds(seconds: float) -> int:
    """Audio latents that cover ``seconds`` of sound.

    Raises:
        InputError: the time is not above zero.
    """
    _require_time(seconds)
    return max(1, math.ceil(seconds * AUDIO_LATENTS_PER_S - _SLACK))


def _require_time(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"a clip lasts longer than 0 s, got {seconds} s")
