"""A package from weights in a file: of published weights, or of a model trained elsewhere."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.artifacts.licences import DESCRIPTION_FILE, referenced_files
from nava.artifacts.model_package import NEGATIVE_PROMPTS_FILE, assemble_package, sign_package
from nava.artifacts.signature import ensure_signing_key
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from nava.runtime.storage import atomic_folder, read_json

if TYPE_CHECKING:
    from nava.generation.loading import PartSizes

# Every package of a model of sound and pictures has these; the timbre encoder is for models with timbre conditioning.
_PARTS = ("video", "audio", "text")
_TIMBRE = "timbre"
# Pixels per latent, vertically and horizontally, of codecs that a package refers to and does not contain.
_REFERENCED_STRIDE = 16
# Video channels, audio channels and text width of the released model.
_RELEASED_WIDTHS = (48, 128, 4096)
_CARD = """\
---
license: {quoted_licence}
pipeline_tag: text-to-video
tags: [audio-video, flow-matching, nava]
---

# {name}

Joint audio and video from one text prompt: {architecture} transformer of {parameters:,} parameters, packaged from its
weights. Nothing was measured on this package; evaluate it before you rely on it.

## Clips

{width} x {height} pixels, {frames} frames at {fps} per second, up to {max_seconds:g} s. Sampler: {sampler}.

## Intended use

Short clips with matching sound; for research. Not for footage that could be taken for a record of real people or
events, and not for decisions about people.

## Licences

- Weights: {licence}.

## Before you load it

`signature.json` covers every other file (OpenSSF model signing). Verify it with the public key of whoever gave you this
package; `nava.artifacts.model_package.load_package` does, before it opens anything else.
"""


@dataclass(frozen=True)
class ClipSettings:
    """What a package generates where a request says nothing else.

    Attributes:
        frames: of a clip, 4n + 1.
        height: in pixels.
        width: in pixels.
        fps: frames per second.
        max_seconds: the longest clip.
        sampler: how to sample.
    """

    frames: int
    height: int
    width: int
    fps: float
    max_seconds: float
    sampler: GenerationConfig


def default_clip(config: ModelConfig) -> ClipSettings:
    """The release's clip and sampler for models of its latents and text; the demo's for all others."""
    if (config.video_channels, config.audio_channels, config.text_dim) != _RELEASED_WIDTHS:
        return ClipSettings(frames=49, height=64, width=64, fps=24.0, max_seconds=2.1, sampler=GenerationConfig())
    sampler = GenerationConfig(
        steps=50,
        shift=5.0,
        video=GuidanceScales(text=3.0, align=3.0),
        audio=GuidanceScales(text=2.0, align=2.0, timbre=3.0),
        batch_size=1,
    )
    return ClipSettings(frames=145, height=704, width=1280, fps=24.0, max_seconds=10.0, sampler=sampler)


def clip_settings(
    config: ModelConfig,
    *,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    max_seconds: float | None = None,
    mode: str | None = None,
    steps: int | None = None,
) -> ClipSettings:
    """`default_clip` with what is given in its place; a longer clip makes the longest one longer."""
    clip = default_clip(config)
    sampler = replace(clip.sampler, mode=mode or clip.sampler.mode, steps=steps or clip.sampler.steps)
    sampler.check()
    frames = frames or clip.frames
    return replace(
        clip,
        frames=frames,
        height=height or clip.height,
        width=width or clip.width,
        max_seconds=max_seconds or max(clip.max_seconds, math.ceil(10 * frames / clip.fps) / 10),
        sampler=sampler,
    )


@dataclass(frozen=True)
class ReleasedPackage:
    """A signed package: its folder, its content address, and the public key to verify it with."""

    folder: Path
    sha256: str
    public_key: Path


def release_package(
    output: Path,
    *,
    weights: str | Path,
    config: ModelConfig,
    codec: Path,
    clip: ClipSettings,
    key_dir: Path,
    name: str = "nava",
    licence: str = "Apache-2.0",
    negative_prompts: Path | None = None,
) -> ReleasedPackage:
    """Check that weights, architecture, codecs and encoders fit, put them into a folder and sign it.

    Args:
        output: the new folder.
        weights: what `load_weights` reads, in safetensors.
        config: the architecture; every tensor of it must be there with its shape.
        codec: folder with video/, audio/, text/ and optionally timbre/, each with its config.json.
        clip: what the package generates where a request says nothing else.
        key_dir: where the signing key is, or is made.
        name: of the model.
        licence: SPDX id of the weights' licence.
        negative_prompts: JSON file with the texts `video`, `audio` and `joint`, which the release mode needs; None
            takes those beside the weights, if the clip's mode is that.

    Raises:
        InputError: something is missing or does not fit; nothing is written then.
    """
    from nava.generation.loading import check_fit
    from nava.model.keys import meta_model, parameter_count, shapes_of
    from nava.model.weights.files import TorchFileReader, open_weights
    from nava.model.weights.load import check_names
    from nava.model.weights.stored import StoredModel

    if output.exists():
        raise InputError(f"{output} exists: name another folder, or remove it")
    _check_licence(licence)
    reader = open_weights(weights)
    if isinstance(reader, TorchFileReader):
        raise InputError(f"{weights} is a torch file and packages hold safetensors: `nava model convert` it first")
    shapes = shapes_of(meta_model(config))
    check_names(StoredModel(reader), shapes)
    check_fit(codec, config, part_sizes(codec))
    generation = generation_json(codec, config, clip)
    card = _CARD.format(
        name=name,
        licence=licence,
        quoted_licence=json.dumps(licence, ensure_ascii=False),
        architecture=config.architecture.replace("_", "-"),
        parameters=parameter_count(shapes),
        **{key: value for key, value in asdict(clip).items() if key != "sampler"},
        sampler=f"{clip.sampler.solver}, {clip.sampler.steps} steps, mode {clip.sampler.mode}",
    )
    texts = _prompts_of_release(negative_prompts, Path(reader.label), clip)
    key = ensure_signing_key(key_dir)
    with atomic_folder(output) as part:
        sha256 = assemble_package(
            part,
            weights=Path(reader.label),
            config=asdict(config),
            codec=codec,
            generation=generation,
            card=card,
            model_name=name,
            licence=licence,
            sources={"codec": sha256_tree(codec)},
            negative_prompts=texts,
        )
        sign_package(part, key)
    return ReleasedPackage(output, sha256, key.public)


def generation_json(codec: Path, config: ModelConfig, clip: ClipSettings) -> dict[str, Any]:
    """``generation.json``: latent shapes of the clip, rate, longest clip and sampler.

    Raises:
        InputError: the codecs cannot make such clips.
    """
    if clip.max_seconds * clip.fps < clip.frames - 1:
        raise InputError(f"{clip.frames} frames at {clip.fps:g} per second are longer than {clip.max_seconds:g} s")
    return {
        "fps": clip.fps,
        "video_shape": list(_video_shape(codec, config, clip)),
        "audio_shape": list(_audio_shape(codec, config, clip)),
        "max_seconds": clip.max_seconds,
        "sampler": asdict(clip.sampler),
    }


def _video_shape(codec: Path, config: ModelConfig, clip: ClipSettings) -> tuple[int, int, int, int]:
    from nava.latents.length import latents_of_frames
    from nava.latents.registry import load_video_codec

    if not _is_referenced(codec, "video"):
        return load_video_codec(codec).latent_shape(clip.frames, clip.height, clip.width)
    # A published codec is not at hand here; its strides are those of Wan2.2.
    if clip.height % _REFERENCED_STRIDE or clip.width % _REFERENCED_STRIDE:
        raise InputError(f"height and width must be multiples of {_REFERENCED_STRIDE} pixels")
    height, width = clip.height // _REFERENCED_STRIDE, clip.width // _REFERENCED_STRIDE
    return config.video_channels, latents_of_frames(clip.frames), height, width


def _audio_shape(codec: Path, config: ModelConfig, clip: ClipSettings) -> tuple[int, int]:
    from nava.latents.length import audio_latents_of_frames
    from nava.latents.registry import load_audio_codec

    if _is_referenced(codec, "audio"):
        return audio_latents_of_frames(clip.frames), config.audio_channels
    audio = load_audio_codec(codec)
    return audio.latent_shape(round(clip.frames / clip.fps * audio.sample_rate_hz))


def part_sizes(codec: Path) -> PartSizes:
    """What the parts of a codec folder give, of published weights as far as their descriptions say.

    Raises:
        InputError: a part is missing or damaged, or of a type that this release does not know.
    """
    from nava.conditioning.redimnet import RedimnetEncoder
    from nava.conditioning.text import load_text_encoder
    from nava.conditioning.timbre import load_timbre_encoder
    from nava.conditioning.umt5 import Umt5Encoder
    from nava.generation.loading import PartSizes
    from nava.latents.ltx_audio import LtxAudioCodec
    from nava.latents.registry import load_audio_codec, load_video_codec
    from nava.latents.wan_video import WanVideoCodec

    for part in _PARTS:
        if not (codec / part / DESCRIPTION_FILE).is_file():
            raise InputError(f"{codec / part} has no {DESCRIPTION_FILE}: a package needs {', '.join(_PARTS)}")
    types = {
        "video": WanVideoCodec.type_name,
        "audio": LtxAudioCodec.type_name,
        "text": Umt5Encoder.type_name,
        _TIMBRE: RedimnetEncoder.type_name,
    }
    described = {part: _published(codec / part, name) for part, name in types.items() if _is_referenced(codec, part)}
    if "text" in described:
        rows, width = (_count(codec / "text", described["text"], name) for name in ("rows", "width"))
    else:
        text = load_text_encoder(codec / "text")
        rows, width = text.rows, text.width
    timbre_width: int | None = None
    if _TIMBRE in described:
        timbre_width = RedimnetEncoder.width
    elif (codec / _TIMBRE).exists():
        timbre_width = load_timbre_encoder(codec / _TIMBRE).width
    return PartSizes(
        video_channels=WanVideoCodec.channels if "video" in described else load_video_codec(codec).channels,
        # The description of the published audio codec does not say; its weights are needed to know.
        audio_channels=None if "audio" in described else load_audio_codec(codec).channels,
        text_rows=rows,
        text_width=width,
        timbre_width=timbre_width,
    )


def _is_referenced(codec: Path, part: str) -> bool:
    """Whether a part refers to published weights, and does not contain its own."""
    return part in {file.part for file in referenced_files(codec)}


def _published(folder: Path, type_name: str) -> dict[str, Any]:
    """The description of a part that refers to published weights, which only one type of each part does."""
    value: Any = read_json(folder / DESCRIPTION_FILE)
    found = value.get("type") if isinstance(value, dict) else None
    if found != type_name:
        raise InputError(
            f"{folder / DESCRIPTION_FILE} has the type {found!r}; with published weights it is {type_name}"
        )
    return dict(value)


def _count(folder: Path, description: dict[str, Any], name: str) -> int:
    if type(value := description.get(name)) is not int:
        raise InputError(f"{folder / DESCRIPTION_FILE}: {name} is {value!r}, but must be a whole number")
    return value


def _prompts_of_release(given: Path | None, weights: Path, clip: ClipSettings) -> dict[str, str] | None:
    """The negative prompts that come along: those that are given; for mode release else those beside the weights."""
    from nava.generation.loading import NEGATIVE_PROMPTS, negative_prompts_beside, read_negative_prompts

    if given is not None:
        return read_negative_prompts(given)
    if clip.sampler.mode != "release":
        return None
    found = negative_prompts_beside(weights)
    if found is None:
        raise InputError(
            f"mode release needs negative prompts: give a JSON file with the texts {', '.join(NEGATIVE_PROMPTS)}, or "
            f"put it beside {weights} as {NEGATIVE_PROMPTS_FILE}"
        )
    return found


def _check_licence(licence: str) -> None:
    """It becomes part of the model card, of its head too, where a line break would begin another entry."""
    if not licence.strip() or not licence.isprintable():
        raise InputError(f"licence {licence!r}: give one line of text without control characters")
