"""The folder of codecs and encoders that a package of published weights is made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nava.artifacts.latent_shard import TEXT_FOLDER
from nava.config.conditioning import ConditioningConfig
from nava.config.latents import LatentsConfig
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_folder

if TYPE_CHECKING:
    from nava.conditioning.text import TextEncoder
    from nava.conditioning.timbre import TimbreEncoder
    from nava.latents.interface import AudioCodec, VideoCodec

# Codecs that need a fit come with the latent shards of a corpus, in a folder of the same layout.
VIDEO_TYPES = ("wan_video", "block_dct")
AUDIO_TYPES = ("ltx_audio",)


def write_encoders(folder: Path, latents: LatentsConfig, conditioning: ConditioningConfig) -> dict[str, str]:
    """Write ``video/``, ``audio/``, ``text/`` and, if one is configured, ``timbre/``; what is published is referred to.

    Every file of published weights is found, opened and hashed, so that a wrong one is told here and not when the
    package is used.

    Returns:
        Identity of each part by the name of its folder.

    Raises:
        InputError: the folder exists; weights are missing, damaged, or not those of the type; or a codec needs a fit.
    """
    from nava.conditioning.text import build_text_encoder
    from nava.conditioning.timbre import build_timbre_encoder
    from nava.generation.loading import TIMBRE_FOLDER
    from nava.latents.registry import AUDIO_FOLDER, VIDEO_FOLDER, build_audio_codec, build_video_codec

    if folder.exists():
        raise InputError(f"{folder} exists already: give a new folder")
    for section in (latents, conditioning):
        section.check()
    # One part after the other: together they would not fit into the memory of a small machine.
    makers: dict[str, Callable[[], VideoCodec | AudioCodec | TextEncoder | TimbreEncoder | None]] = {
        VIDEO_FOLDER: lambda: build_video_codec(latents.video, _no_corpus, 0, seed=0),
        AUDIO_FOLDER: lambda: build_audio_codec(latents.audio, _no_corpus),
        TEXT_FOLDER: lambda: build_text_encoder(conditioning),
        TIMBRE_FOLDER: lambda: build_timbre_encoder(conditioning),
    }
    identities: dict[str, str] = {}
    with atomic_folder(folder) as temporary:
        for name, make in makers.items():
            part = make()
            if part is not None:
                part.save(temporary / name)
                identities[name] = part.identity
            del part
    return identities


def _no_corpus() -> NoReturn:
    raise InputError(
        "this codec is fitted on a corpus: take the folder `codec` of latent shards (runs/demo/shards/<key>/codec), or "
        f"a type that needs no fit ({', '.join((*VIDEO_TYPES, *AUDIO_TYPES))})"
    )
