"""How many latents a clip has: the rules shared by the embedded codecs and the released ones (Wan2.2, LTX-2).

F video latent frames hold ``4 (F - 1) + 1`` frames, because the first frame is coded alone; audio runs at 25 latents
per second and covers the picture: ``ceil(frames / 24 * 25)`` latents.
"""

from nava.runtime.errors import InputError

TEMPORAL_STRIDE = 4
VIDEO_FPS = 24
AUDIO_LATENTS_PER_S = 25


def frames_of_latents(latent_frames: int, temporal_stride: int = TEMPORAL_STRIDE) -> int:
    """Frames decoded from ``latent_frames`` video latent frames."""
    if latent_frames < 1:
        raise InputError(f"a clip needs at least 1 latent frame, got {latent_frames}")
    return temporal_stride * (latent_frames - 1) + 1


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


def audio_latents_of_frames(frames: int, fps: int = VIDEO_FPS, latents_per_s: int = AUDIO_LATENTS_PER_S) -> int:
    """Audio latents that cover ``frames`` frames of picture."""
    return -(-frames * latents_per_s // fps)


def audio_latents_of_seconds(duration_s: float, latents_per_s: int = AUDIO_LATENTS_PER_S) -> int:
    """Audio latents of an audio-only clip that lasts ``duration_s`` seconds."""
    # 2.04 * 25 is 51.00000000000001 in floating point, which must still be 51.
    return -int(-(round(duration_s * latents_per_s, 6)) // 1)


def samples_of_audio_latents(latents: int, sample_rate_hz: int, latents_per_s: int = AUDIO_LATENTS_PER_S) -> int:
    """Audio samples that ``latents`` audio latents stand for."""
    return latents * sample_rate_hz // latents_per_s
