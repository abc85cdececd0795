"""How many latents a clip has: the rule shared by the embedded codecs and the released ones (Wan2.2).

F video latent frames hold ``4 (F - 1) + 1`` frames, because the first frame is coded alone.
"""

from nava.runtime.errors import InputError

TEMPORAL_STRIDE = 4
VIDEO_FPS = 24


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
