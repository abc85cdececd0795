"""A package from weights in a file: of published weights, or of a model trained elsewhere."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nava.artifacts.model_package import assemble_package, sign_package
from nava.artifacts.signature import ensure_signing_key
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from nava.runtime.storage import atomic_folder, read_json

# Every package of a model of sound and pictures has these; the timbre encoder is for models with timbre conditioning.
_PARTS = ("video", "audio", "text")
_TIMBRE = "timbre"
# Pixels per latent, vertically and horizontally, of codecs that a package refers to and does not contain.
_REFERENCED_STRIDE = 16
# Video channels, audio channels and text width of the released model.
_RELEASED_WIDTHS = (48, 128, 4096)
_CARD = """\
---
license: {licence}
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
        negative_prompts: JSON file with the texts `video`, `audio` and `joint`, which the release mode needs.

    Raises:
        InputError: something is missing or does not fit; nothing is written then.
    """
    from nava.model.keys import meta_model, parameter_count, shapes_of
    from nava.model.weights.files import TorchFileReader, open_weights
    from nava.model.weights.load import check_names
    from nava.model.weights.stored import StoredModel

    if output.exists():
        raise InputError(f"{output} exists: name another folder, or remove it")
    reader = open_weights(weights)
    if isinstance(reader, TorchFileReader):
        raise InputError(f"{weights} is a torch file and packages hold safetensors: `nava model convert` it first")
    shapes = shapes_of(meta_model(config))
    check_names(StoredModel(reader), shapes)
    _check_codecs(codec, config)
    generation = generation_json(codec, config, clip)
    card = _CARD.format(
        name=name,
        licence=licence,
        architecture=config.architecture.replace("_", "-"),
        parameters=parameter_count(shapes),
        **{key: value for key, value in asdict(clip).items() if key != "sampler"},
        sampler=f"{clip.sampler.solver}, {clip.sampler.steps} steps, mode {clip.sampler.mode}",
    )
    texts = None if negative_prompts is None else _negative_prompts(negative_prompts)
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
        InputError: the codecs cannot make such clips, or give other channels than the model has.
    """
    video_shape, audio_shape = _latent_shapes(codec, config, clip)
    if clip.max_seconds * clip.fps < clip.frames - 1:
        raise InputError(f"{clip.frames} frames at {clip.fps:g} per second are longer than {clip.max_seconds:g} s")
    for kind, channels, wanted in (
        ("video", video_shape[0], config.video_channels),
        ("audio", audio_shape[1], config.audio_channels),
    ):
        if channels != wanted:
            raise InputError(f"the {kind} codec has {channels} channels, but the model has {wanted}")
    return {
        "fps": clip.fps,
        "video_shape": list(video_shape),
        "audio_shape": list(audio_shape),
        "max_seconds": clip.max_seconds,
        "sampler": asdict(clip.sampler),
    }


def _latent_shapes(
    codec: Path, config: ModelConfig, clip: ClipSettings
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    from nava.artifacts.licences import referenced_files
    from nava.latents.length import audio_latents_of_frames, latents_of_frames
    from nava.latents.registry import load_codecs

    if not {file.part for file in referenced_files(codec)} & {"video", "audio"}:
        codecs = load_codecs(codec)
        samples = round(clip.frames / clip.fps * codecs.audio.sample_rate_hz)
        return codecs.video.latent_shape(clip.frames, clip.height, clip.width), codecs.audio.latent_shape(samples)
    # Published codecs are not at hand here; their strides are those of Wan2.2 and LTX-2.3.
    if clip.height % _REFERENCED_STRIDE or clip.width % _REFERENCED_STRIDE:
        raise InputError(f"height and width must be multiples of {_REFERENCED_STRIDE} pixels")
    height, width = clip.height // _REFERENCED_STRIDE, clip.width // _REFERENCED_STRIDE
    video = (config.video_channels, latents_of_frames(clip.frames), height, width)
    return video, (audio_latents_of_frames(clip.frames), config.audio_channels)


def _check_codecs(codec: Path, config: ModelConfig) -> None:
    parts = (*_PARTS, _TIMBRE) if (codec / _TIMBRE).exists() else _PARTS
    for part in parts:
        if not (codec / part / "config.json").is_file():
            raise InputError(f"{codec / part} has no config.json: a package needs {', '.join(_PARTS)}")
    text = _description(codec / "text")
    if text.get("width", config.text_dim) != config.text_dim:
        raise InputError(f"the text encoder gives rows of {text['width']}, the model takes {config.text_dim}")
    if text.get("rows", config.text_len) > config.text_len:
        raise InputError(f"the text encoder gives {text['rows']} rows, the model takes {config.text_len}")
    if _TIMBRE in parts and not config.speaker_dim:
        raise InputError("the model has no timbre conditioning (speaker_dim 0): leave the timbre encoder out")


def _description(folder: Path) -> dict[str, Any]:
    try:
        value = read_json(folder / "config.json")
    except ValueError as error:
        raise InputError(f"{folder / 'config.json'} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{folder / 'config.json'} describes nothing: it is no JSON object")
    return value


def _negative_prompts(path: Path) -> dict[str, str]:
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    wanted = {"video", "audio", "joint"}
    if not isinstance(value, dict) or set(value) != wanted or not all(isinstance(text, str) for text in value.values()):
        raise InputError(f"{path} must be one object with the texts {', '.join(sorted(wanted))}")
    return value
