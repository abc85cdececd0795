"""Prompts and seeds in, clips out: model, codecs and text encoder put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nava.config.generation import GenerationConfig
from nava.generation.media import write_mp4
from nava.generation.sampler import AudioShape, VelocityModel, VideoShape, sample_latents
from nava.runtime.errors import InputError


class VideoDecoder(Protocol):
    """Turns video latents into pictures."""

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """Latents to uint8 RGB [B, T, H, W, 3]."""
        ...


class AudioDecoder(Protocol):
    """Turns audio latents into sound."""

    sample_rate_hz: int

    def decode(self, latent_BLC: Tensor) -> Tensor:
        """Latents to mono samples in [-1, 1], [B, N]."""
        ...


class TextEncoder(Protocol):
    """Turns prompts into features."""

    def encode(self, texts: list[str]) -> Tensor:
        """Features [B, rows, width], zero rows after the text's end."""
        ...


@dataclass(frozen=True)
class GeneratedClip:
    """One result: frames uint8 [T, H, W, 3] and mono samples float32 [N]; None for a modality not asked for."""

    prompt: str
    seed: int
    frames: np.ndarray | None
    fps: float
    samples: np.ndarray | None
    sample_rate: int

    def write(self, path: Path, *, crf: int = 18, upscale: int = 1) -> None:
        """Write the clip as an MP4; `upscale` repeats pixels so that tiny clips can be seen."""
        write_mp4(path, self.frames, self.fps, self.samples, self.sample_rate, crf=crf, upscale=upscale)


@dataclass(frozen=True)
class Generator:
    """Everything that generation needs. Put the model in eval mode.

    `video_shape` (C, T, H, W) and `audio_shape` (L, C) are latent shapes; a modality whose shape is None is left out.
    """

    model: VelocityModel
    text_encoder: TextEncoder
    video_codec: VideoDecoder
    audio_codec: AudioDecoder
    video_shape: VideoShape | None
    audio_shape: AudioShape | None
    fps: float = 24.0

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], config: GenerationConfig) -> list[GeneratedClip]:
        """Generate one clip per prompt and seed, `config.batch_size` at a time."""
        return list(self.stream(prompts, seeds, config))

    def stream(self, prompts: Sequence[str], seeds: Sequence[int], config: GenerationConfig) -> Iterator[GeneratedClip]:
        """The same, giving each clip as soon as its batch is done.

        Raises:
            InputError: not as many seeds as prompts, or an empty prompt.
        """
        if len(prompts) != len(seeds):
            raise InputError(f"{len(prompts)} prompts but {len(seeds)} seeds; give one seed for each prompt")
        for number, prompt in enumerate(prompts, start=1):
            if not prompt.strip():
                raise InputError(f"prompt {number} is empty; say what is to be seen and heard")
        for start in range(0, len(prompts), config.batch_size):
            batch = slice(start, start + config.batch_size)
            yield from self._batch(list(prompts[batch]), list(seeds[batch]), config)

    @torch.no_grad()
    def _batch(self, prompts: list[str], seeds: list[int], config: GenerationConfig) -> Iterator[GeneratedClip]:
        text_BND = self.text_encoder.encode(prompts)
        video, audio = sample_latents(self.model, text_BND, self.video_shape, self.audio_shape, config, seeds)
        frames = None if video is None else self.video_codec.decode(video).cpu().numpy()
        samples = None if audio is None else self.audio_codec.decode(audio).float().cpu().numpy()
        for i, (prompt, seed) in enumerate(zip(prompts, seeds)):
            yield GeneratedClip(
                prompt=prompt,
                seed=seed,
                frames=None if frames is None else frames[i],
                fps=self.fps,
                samples=None if samples is None else samples[i],
                sample_rate=self.audio_codec.sample_rate_hz,
            )
