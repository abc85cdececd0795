"""Whether latents are those of the model: told before anything is computed, and not by a product of matrices."""

from __future__ import annotations

from nava.config.model import ModelConfig
from nava.data.shards import LatentSource
from nava.runtime.errors import InputError


def require_fit(shards: LatentSource, model: ModelConfig) -> None:
    """Refuse latents of other sizes than the model takes.

    Raises:
        InputError: names the setting, its value, and what the latents have.
    """
    for entry in shards.entries.values():
        sizes = {"audio_channels": entry.audio_shape[1], "text_dim": entry.text_shape[1]}
        if entry.video_shape is not None:
            sizes["video_channels"] = entry.video_shape[0]
        for name, found in sizes.items():
            if getattr(model, name) != found:
                raise _other(name, getattr(model, name), found, entry.clip_id)
        if entry.text_shape[0] > model.text_len:
            raise _other("text_len", model.text_len, entry.text_shape[0], entry.clip_id)


def _other(name: str, wanted: int, found: int, clip: str) -> InputError:
    return InputError(f"model.{name} is {wanted}, but the latents have {found} (clip {clip}); set model.{name}={found}")
