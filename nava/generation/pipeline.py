"""Requests in, clips out: model, codecs, text and timbre encoder put together, for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nava.conditioning.text import TextEncoder
from nava.conditioning.timbre import TimbreEncoder
from nava.conditioning.voices import speaker_tensors
from nava.config.generation import GenerationConfig
from nava.generation.media import write_mp4, write_wav
from nava.generation.passes import Speakers, VelocityModel
from nava.generation.plan import Abilities, Plan, plan_request
from nava.generation.provenance import Origin
from nava.generation.request import Request
from nava.generation.sampler import AudioShape, VideoShape, sample_latents
from nava.generation.sound import fit_length, release_sound
from nava.latents.image import load_image
from nava.latents.interface import AudioCodec, VideoCodec
from nava.runtime.errors import InputError, NavaError

# The lengths that the release offers: 2 to 10 s.
DEFAULT_MAX_SECONDS = 10.0

OnStep = Callable[[int, int], None]
"""Is told after each sampling step how many are done, and of how many."""


@dataclass(frozen=True)
class GeneratedClip:
    """One result: frames uint8 [T, H, W, 3], samples float32 [N] or [channels, N]; None where not asked for.

    `plan` says how it came about; clips that no generator made have none.
    """

    prompt: str
    seed: int
    frames: np.ndarray | None
    fps: float
    samples: np.ndarray | None
    sample_rate: int
    plan: Plan | None = None

    def write(self, path: Path, *, crf: int = 18, upscale: int = 1, tags: Mapping[str, str] | None = None) -> None:
        """Write the clip: sound alone as WAV if `path` is named so, everything else as MP4.

        `upscale` repeats pixels so that tiny clips can be seen.

        Raises:
            InputError: a WAV for a clip with pictures, or without sound.
        """
        if path.suffix.lower() != ".wav":
            write_mp4(path, self.frames, self.fps, self.samples, self.sample_rate, crf=crf, upscale=upscale, tags=tags)
            return
        if self.frames is not None or self.samples is None:
            raise InputError(f"{path.name}: a WAV file holds sound alone; name an .mp4")
        write_wav(path, self.samples, self.sample_rate, tags=tags)


@dataclass(frozen=True)
class Generator:
    """Everything that generation needs. Put the model in eval mode and on `device`; the other parts may lie elsewhere.

    Attributes:
        model: predicts velocities.
        text_encoder: reads prompts.
        video_codec: turns video latents into pictures, and an image into a first latent frame.
        audio_codec: turns audio latents into sound.
        video_shape: latent (C, T, H, W) of clips of which no length or size is asked for; None for sound alone.
        audio_shape: the same of the sound, (L, C); None for pictures alone.
        fps: frames per second.
        sampler: settings of requests that bring none.
        timbre_encoder: reads reference voices; None for a package without one.
        speech_slots: whether the model has timbre conditioning: each `<S>` of a prompt is then followed by the slot of
            a voice, whether there is one or not, as in training.
        max_seconds: the longest clip.
        negative_prompts: texts by `video`, `audio` and `joint` of the pass without text, which mode release needs.
        device: where the model computes.
        origin: what this was loaded from, for the record beside each clip.
    """

    model: VelocityModel
    text_encoder: TextEncoder
    video_codec: VideoCodec
    audio_codec: AudioCodec
    video_shape: VideoShape | None
    audio_shape: AudioShape | None
    fps: float = 24.0
    sampler: GenerationConfig = field(default_factory=GenerationConfig)
    timbre_encoder: TimbreEncoder | None = None
    speech_slots: bool = False
    max_seconds: float = DEFAULT_MAX_SECONDS
    negative_prompts: Mapping[str, str] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    origin: Origin = field(default_factory=Origin)

    @property
    def abilities(self) -> Abilities:
        """What requests may ask for."""
        return Abilities(
            video_codec=self.video_codec,
            audio_codec=self.audio_codec,
            video_shape=self.video_shape,
            audio_shape=self.audio_shape,
            fps=self.fps,
            max_seconds=self.max_seconds,
            sampler=self.sampler,
            timbre_encoder=self.timbre_encoder if self.speech_slots else None,
            negative_prompts=self.negative_prompts,
            dropped_words=self._dropped_words,
        )

    def plan(self, request: Request) -> Plan:
        """Check a request and say how it would be fulfilled. RequestError when it cannot be."""
        return plan_request(request, self.abilities)

    def generate(self, requests: Sequence[Request], *, on_step: OnStep | None = None) -> Iterator[GeneratedClip]:
        """Generate one clip per request, in their order, each as soon as its batch is done.

        Neighbours of equal task, size, length and settings make up batches of `sampler.batch_size`. A clip's noise
        comes from its own seed, so that what is in the batch beside it makes no difference but rounding.

        Args:
            requests: checked all, files included, before the first is generated.
            on_step: told of each sampling step of each batch.

        Raises:
            InputError: a request that cannot be fulfilled; with several requests the message begins with its number.
        """
        return self.fulfil(self._plans(requests), on_step=on_step)

    def fulfil(self, plans: Sequence[Plan], *, on_step: OnStep | None = None) -> Iterator[GeneratedClip]:
        """The same for requests that have been planned already, so that their voices are not read again."""
        for _, group in groupby(plans, key=_alike):
            alike = list(group)
            size = alike[0].sampler.batch_size
            for start in range(0, len(alike), size):
                yield from self._batch(alike[start : start + size], on_step)

    def _dropped_words(self, prompt: str) -> int:
        """How many words of a prompt are ignored, of what `_conditions` has encoded."""
        encoder = self.text_encoder
        return encoder.dropped_prompt_words(prompt) if self.speech_slots else encoder.dropped_words(prompt)

    def _plans(self, requests: Sequence[Request]) -> list[Plan]:
        plans = []
        for number, request in enumerate(requests, start=1):
            try:
                plans.append(self.plan(request))
            except InputError as error:
                if len(requests) == 1:
                    raise
                raise InputError(f"request {number}: {error}") from error
        return plans

    @torch.no_grad()
    def _batch(self, plans: list[Plan], on_step: OnStep | None) -> list[GeneratedClip]:
        first = plans[0]
        text_BND, speakers = self._conditions(plans)
        video, audio = sample_latents(
            self.model,
            text_BND,
            first.video_shape,
            first.audio_shape,
            first.sampler,
            [plan.request.seed for plan in plans],
            negative_text_BND=self._negative(first),
            speakers=speakers,
            first_frame_BCHW=self._first_frames(plans),
            on_step=on_step,
        )
        for name, latents in (("picture", video), ("sound", audio)):
            if latents is not None and not torch.isfinite(latents).all():
                # Decoders would make a clip of it that looks like one.
                raise NavaError(f"the model's {name} latents are not finite: its weights or number format are broken")
        # Codecs compute where their weights lie, which need not be where the model does.
        frames = None if video is None else self.video_codec.decode(video.cpu()).numpy()
        samples = None if audio is None else self.audio_codec.decode(audio.cpu()).float().numpy()
        return [
            self._clip(plan, None if frames is None else frames[i], None if samples is None else samples[i])
            for i, plan in enumerate(plans)
        ]

    def _conditions(self, plans: list[Plan]) -> tuple[Tensor, Speakers | None]:
        """Features of the prompts, and where the reference voices go in the model's context."""
        prompts = [plan.request.prompt for plan in plans]
        if not self.speech_slots:
            return self.text_encoder.encode(prompts).to(self.device), None
        encoded = self.text_encoder.encode_prompts(prompts)
        text_BND = encoded.text_BND.to(self.device)
        speaker_SE, slot_S = speaker_tensors(encoded, [plan.timbre for plan in plans])
        if speaker_SE is None or slot_S is None:
            return text_BND, None
        return text_BND, Speakers(speaker_SE.to(self.device), slot_S.to(self.device))

    def _first_frames(self, plans: list[Plan]) -> Tensor | None:
        """The images as first latent frames [B, C, H, W]."""
        if not plans[0].task.takes_image:
            return None
        images = []
        for plan in plans:
            assert plan.request.image is not None
            images.append(load_image(plan.request.image, plan.size))
        latent_BCTHW = self.video_codec.encode(torch.stack(images)[:, None])
        return latent_BCTHW[:, :, 0].float().to(self.device)

    def _negative(self, plan: Plan) -> Tensor | None:
        """What the pass without text is given: a text in mode release; in mode corrected the sampler's zeros."""
        if plan.negative_prompt is None:
            return None
        return self.text_encoder.encode([plan.negative_prompt]).to(self.device)

    def _clip(self, plan: Plan, frames: np.ndarray | None, samples: np.ndarray | None) -> GeneratedClip:
        rate = self.audio_codec.output_sample_rate_hz
        if samples is not None and plan.sampler.mode == "release":
            samples, rate = release_sound(samples, rate)
        if samples is not None and plan.seconds is not None:
            samples = fit_length(samples, round(plan.seconds * rate))
        return GeneratedClip(plan.request.prompt, plan.request.seed, frames, self.fps, samples, rate, plan)


def _alike(plan: Plan) -> tuple[Any, ...]:
    """What plans must have in common to be generated in one batch."""
    shapes = plan.video_shape, plan.audio_shape, plan.size
    return plan.task, *shapes, bool(plan.voices), plan.sampler, plan.negative_prompt
