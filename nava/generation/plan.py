"""A request held against what a package can do: every size and length that follows from it, or why it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from nava.conditioning.prompt import validate_prompt
from nava.conditioning.timbre import TimbreEncoder
from nava.conditioning.voices import Voice, bind_voices, voice_vectors
from nava.config.generation import GenerationConfig
from nava.generation.request import SEED_LIMIT, Request, RequestError, Task, infer_task
from nava.generation.sampler import AudioShape, VideoShape
from nava.latents.image import bucket_size, load_image
from nava.latents.interface import AudioCodec, VideoCodec
from nava.latents.length import (
    audio_latents_of_frames,
    audio_latents_of_seconds,
    frames_of_latents,
    latents_of_frames,
    latents_of_seconds,
)
from nava.latents.waveform import load_voice
from nava.runtime.errors import InputError

# Which of the negative prompts a task's pass without text is given.
_NEGATIVE = {Task.T2V: "video", Task.T2A: "audio"}


@dataclass(frozen=True)
class Abilities:
    """What a package can do.

    Attributes:
        video_codec: its pixels' side of the latents.
        audio_codec: its sound's side of the latents.
        video_shape: latent (C, T, H, W) of the package's own clips; None for a model of sound alone.
        audio_shape: latent (L, C) of the package's own clips; None for a model of pictures alone.
        fps: frames per second.
        max_seconds: the longest clip.
        sampler: the settings that the package was evaluated with.
        timbre_encoder: reads reference voices; None for a package without timbre conditioning.
        negative_prompts: texts by `video`, `audio` and `joint` of the pass without text, which mode release needs.
        dropped_words: how many words at a prompt's end the text encoder ignores for want of room.
    """

    video_codec: VideoCodec
    audio_codec: AudioCodec
    video_shape: VideoShape | None
    audio_shape: AudioShape | None
    fps: float
    max_seconds: float
    sampler: GenerationConfig
    timbre_encoder: TimbreEncoder | None
    negative_prompts: Mapping[str, str] | None
    dropped_words: Callable[[str], int]


@dataclass(frozen=True)
class Plan:
    """How a request is fulfilled.

    Attributes:
        request: what was asked for.
        task: given or inferred.
        sampler: the settings used.
        video_shape: latent (C, T, H, W), or None for sound alone.
        audio_shape: latent (L, C), or None for pictures alone.
        size: height and width in pixels, or None for sound alone.
        seconds: the exact length of picture and sound; None where the sound stays as long as its latents.
        voices: the reference voice of each span of speech; empty without reference voices.
        timbre: what the timbre encoder makes of them, [spans, width].
        negative_prompt: the text of the pass without text; None in mode corrected, which has none.
        dropped_words: how many words at the prompt's end do not fit and are ignored.
    """

    request: Request
    task: Task
    sampler: GenerationConfig
    video_shape: VideoShape | None
    audio_shape: AudioShape | None
    size: tuple[int, int] | None
    seconds: float | None
    voices: tuple[Voice, ...]
    timbre: Tensor | None
    negative_prompt: str | None
    dropped_words: int


def plan_request(request: Request, abilities: Abilities) -> Plan:
    """Check a request whole, its files included, and say how it is fulfilled.

    Raises:
        RequestError: the request cannot be fulfilled; the message begins with the field that is wrong.
    """
    dropped_words = _check_prompt(request, abilities)
    task = _task(request, abilities)
    if task.has_video and abilities.video_shape is None:
        raise RequestError("task", f"{task} has pictures, but this package makes sound alone; ask for T2A")
    if task.has_audio and abilities.audio_shape is None:
        raise RequestError("task", f"{task} has sound, but this package makes pictures alone; ask for T2V")
    sampler = request.sampler or abilities.sampler
    negative_prompt = _negative_prompt(task, abilities) if sampler.mode == "release" else None
    voices, timbre = _voices(request, abilities)
    frames = _frames(request, task, abilities)
    size = _size(request, abilities) if task.has_video else None
    video_shape = None if frames is None or size is None else _video_shape(abilities, frames, size)
    audio_shape, sound_s = _audio_shape(request, abilities, frames)
    seconds = sound_s if frames is None else frames / abilities.fps
    return Plan(
        request=request,
        task=task,
        sampler=sampler,
        video_shape=video_shape,
        audio_shape=audio_shape if task.has_audio else None,
        size=size,
        seconds=seconds if request.fit_sound else None,
        voices=voices,
        timbre=timbre,
        negative_prompt=negative_prompt,
        dropped_words=dropped_words,
    )


def _task(request: Request, abilities: Abilities) -> Task:
    """The task of the request; what is not said follows from what the package makes, too."""
    if request.task is None and request.image is None:
        if abilities.video_shape is None:
            return Task.T2A
        if abilities.audio_shape is None and not request.voices:
            return Task.T2V
    return infer_task(request)


def _check_prompt(request: Request, abilities: Abilities) -> int:
    """How many of the prompt's words do not fit."""
    _check_encodable("prompt", request.prompt)
    try:
        validate_prompt(request.prompt)
        dropped_words = abilities.dropped_words(request.prompt)
    except InputError as error:
        raise RequestError("prompt", str(error).removeprefix("prompt, ")) from error
    if not 0 <= request.seed < SEED_LIMIT:
        raise RequestError("seed", f"{request.seed} is outside 0 .. 2**62 - 1")
    return dropped_words


def _check_encodable(field: str, text: str) -> None:
    """Refuse halves of characters, which JSON can hold but neither files nor tokenizers."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise RequestError(
            field, f"character {error.start + 1} is {code}, half of a character; write the text as UTF-8"
        ) from error


def _negative_prompt(task: Task, abilities: Abilities) -> str:
    if abilities.negative_prompts is None:
        raise RequestError(
            "mode",
            "release needs the text of its negative prompts: put negative_prompts.json, an object with the keys video, "
            "audio and joint, beside the weights",
        )
    text = abilities.negative_prompts[_NEGATIVE.get(task, "joint")]
    _check_encodable("negative prompt", text)
    return text


def _frames(request: Request, task: Task, abilities: Abilities) -> int | None:
    """Frames of the clip, None for sound alone; both lengths that can be asked for are checked."""
    if request.seconds is not None and request.frames is not None:
        raise RequestError("seconds", "the length is given in frames as well; give one of the two")
    if request.seconds is not None and not (math.isfinite(request.seconds) and request.seconds > 0):
        raise RequestError("seconds", f"{request.seconds} is not a length; give a number above 0")
    if request.seconds is not None and request.seconds > abilities.max_seconds:
        raise RequestError(
            "seconds", f"{request.seconds:g} is more than the {abilities.max_seconds:g} s of this package"
        )
    if not task.has_video:
        if request.frames is not None:
            raise RequestError("frames", f"task {task} has no pictures; give its length in seconds")
        return None
    stride = abilities.video_codec.temporal_stride
    if request.frames is not None:
        # A first frame and whole groups after it: the last second begins with the frame that ends the one before.
        if request.frames - 1 > abilities.max_seconds * abilities.fps:
            limit = f"{abilities.max_seconds:g} s of this package at {abilities.fps:g} frames per second"
            raise RequestError("frames", f"{request.frames} are more than the {limit}")
        try:
            latents_of_frames(request.frames, stride)
        except InputError as error:
            raise RequestError("frames", str(error)) from error
        return request.frames
    if request.seconds is not None:
        return frames_of_latents(latents_of_seconds(request.seconds, round(abilities.fps), stride), stride)
    assert abilities.video_shape is not None
    return frames_of_latents(abilities.video_shape[1], stride)


def _size(request: Request, abilities: Abilities) -> tuple[int, int]:
    """Height and width in pixels: as asked for, or the package's own.

    A package whose own clips have the size of one of the release's buckets takes the bucket of an image's shape.
    """
    stride = abilities.video_codec.spatial_stride
    if request.size is not None and any(side < stride or side % stride for side in request.size):
        height, width = request.size
        raise RequestError("size", f"{width}x{height} pixels are not multiples of {stride}, the codec's stride")
    assert abilities.video_shape is not None
    rows, columns = abilities.video_shape[2:]
    own = (rows * stride, columns * stride)
    if request.image is None:
        return request.size or own
    in_buckets = request.size is None and bucket_size(*own) == own
    try:
        height, width, _ = load_image(request.image, None if in_buckets else request.size or own).shape
    except InputError as error:
        raise RequestError("image", str(error)) from error
    return height, width


def _video_shape(abilities: Abilities, frames: int, size: tuple[int, int]) -> VideoShape:
    try:
        return abilities.video_codec.latent_shape(frames, *size)
    except InputError as error:
        raise RequestError("size", str(error)) from error


def _audio_shape(request: Request, abilities: Abilities, frames: int | None) -> tuple[AudioShape | None, float | None]:
    """Latent (L, C) of the sound, and how long it is when it follows no picture."""
    own = abilities.audio_shape
    if own is None:
        return None, None
    channels = abilities.audio_codec.channels
    if frames is not None:
        asked = request.seconds is not None or request.frames is not None
        return ((audio_latents_of_frames(frames, round(abilities.fps)), channels) if asked else own), None
    if request.seconds is not None:
        return (audio_latents_of_seconds(request.seconds), channels), request.seconds
    return own, None


def _voices(request: Request, abilities: Abilities) -> tuple[tuple[Voice, ...], Tensor | None]:
    """The voice of each span of speech, and what the timbre encoder makes of each."""
    if not request.voices:
        return (), None
    if abilities.timbre_encoder is None:
        raise RequestError("voices", "this package has no timbre conditioning; leave the reference voices out")
    try:
        bound = bind_voices(request.prompt, request.voices)
        return tuple(bound), voice_vectors(bound, abilities.timbre_encoder, load_voice)
    except InputError as error:
        raise RequestError("voices", str(error)) from error
