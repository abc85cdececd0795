"""Clips that the averaged weights make on the way, so that people see and hear how training goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nava.config.generation import GenerationConfig
from nava.config.training import TrainingConfig
from nava.data.shards import LatentSource
from nava.latents.registry import load_audio_codec, load_video_codec
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_folder, write_json
from nava.training.engine import Engine
from nava.training.run_folder import SAMPLES, record_event
from nava.training.world import World

if TYPE_CHECKING:
    from nava.generation.passes import VelocityModel
    from nava.generation.pipeline import GeneratedClip
    from nava.latents.interface import AudioCodec, VideoCodec

SAMPLES_FILE = "samples.json"
CLIPS = 3
# Curation brings every clip to this rate.
_FRAMES_PER_S = 24.0
# Pictures of so few pixels are enlarged, or nobody could see them.
_SMALL_PX = 128


@dataclass(frozen=True)
class Sampling:
    """How clips are made of latents.

    Attributes:
        codec: folder of the codecs that made the shards.
        generation: the sampler; mode release samples as mode corrected does, since no text is encoded here.
        video_weights, audio_weights: where published weights of the codecs are, if they refer to some.
    """

    codec: Path
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    video_weights: str = ""
    audio_weights: str = ""


@dataclass(frozen=True)
class Sample:
    """A clip that was made: its file's name, whose text it was made from, and the seed of its noise."""

    file: str
    caption: str
    clip: str
    seed: int


def check_sampling(config: TrainingConfig, world: World) -> None:
    """Refuse samples where the first process cannot compute alone.

    Raises:
        InputError: names the settings.
    """
    if config.sample_every_steps and world.size > 1 and (config.zero_stage == 3 or world.sequence_parallel > 1):
        name = "zero_stage" if config.zero_stage == 3 else "sequence_parallel"
        raise InputError(
            f"training.sample_every_steps with training.{name}={getattr(config, name)} in {world.size} processes: one "
            "process makes the samples, and it does not hold the model alone; set training.sample_every_steps=0 and "
            "sample from a checkpoint"
        )


class SampleMaker:
    """Makes clips from the texts of a few held-out clips, always the same ones and from the same noise.

    Args:
        sampling: how.
        shards: hold the texts.
        ids: the clips.
        folder: of the run.
        device: where the model computes.
        log: takes plain lines.
    """

    def __init__(
        self,
        sampling: Sampling,
        shards: LatentSource,
        ids: list[str],
        folder: Path,
        device: torch.device,
        log: Callable[[str], None],
    ) -> None:
        self._sampling, self._shards, self._ids = sampling, shards, ids[:CLIPS]
        self._folder, self._device, self._log = folder, device, log
        self._codecs: tuple[VideoCodec, AudioCodec] | None = None

    def make(self, engine: Engine, step: int) -> None:
        """Write clips to `samples/step-N`. What goes wrong is a warning: it does not end the training."""
        try:
            samples = self._made(_alone(engine), step)
        # Codecs, drivers and disks fail in ways of their own.
        except Exception as error:
            line = " ".join(str(error).split()) or type(error).__name__
            self._log(f"warning: no samples at step {step}: {line}")
            record_event(self._folder, "warning", step, text=f"no samples: {line}")
            return
        record_event(self._folder, "samples", step, files=[sample.file for sample in samples])
        self._log(f"samples of step {step}: {self._place(step)}")

    def _place(self, step: int) -> Path:
        return self._folder / SAMPLES / f"step-{step:08d}"

    def _made(self, model: VelocityModel, step: int) -> list[Sample]:
        made = [self._clip(model, clip, number) for number, clip in enumerate(self._ids)]
        samples = []
        with atomic_folder(self._place(step)) as part:
            for number, (clip_id, clip) in enumerate(zip(self._ids, made, strict=True)):
                file = f"{number}.mp4" if clip.frames is not None else f"{number}.wav"
                small = clip.frames is not None and clip.frames.shape[1] < _SMALL_PX
                clip.write(part / file, upscale=4 if small else 1)
                samples.append(Sample(file, clip.prompt, clip_id, clip.seed))
            write_json(part / SAMPLES_FILE, [asdict(sample) for sample in samples])
        return samples

    def _clip(self, model: VelocityModel, clip_id: str, number: int) -> GeneratedClip:
        # Here, because they bring libraries along that only write media.
        from nava.generation.passes import Speakers
        from nava.generation.pipeline import GeneratedClip
        from nava.generation.sampler import VideoShape, sample_latents

        entry, latents = self._shards.entries[clip_id], self._shards.read([clip_id], with_video=False)
        speakers = None
        if latents.voice_SE is not None and latents.voice_slot_S is not None:
            speakers = Speakers(latents.voice_SE.to(self._device), latents.voice_slot_S.to(self._device))
        generation = self._sampling.generation
        seed = generation.seed + number
        video_shape: VideoShape | None = None
        if entry.video_shape is not None:
            channels, times, height, width = entry.video_shape
            video_shape = channels, times, height, width
        length, audio_channels = entry.audio_shape
        video, audio = sample_latents(
            model,
            latents.text_BND.to(self._device),
            video_shape,
            (length, audio_channels),
            replace(generation, mode="corrected"),
            [seed],
            speakers=speakers,
        )
        video_codec, audio_codec = self._loaded()
        assert audio is not None
        frames = None if video is None else video_codec.decode(video.float().cpu())[0].numpy()
        samples = audio_codec.decode(audio.float().cpu())[0].float().numpy()
        rate = audio_codec.output_sample_rate_hz
        return GeneratedClip(latents.captions[0], seed, frames, _FRAMES_PER_S, samples, rate)

    def _loaded(self) -> tuple[VideoCodec, AudioCodec]:
        if self._codecs is None:
            sampling = self._sampling
            self._codecs = (
                load_video_codec(sampling.codec, sampling.video_weights or None),
                load_audio_codec(sampling.codec, sampling.audio_weights or None),
            )
        return self._codecs


def _alone(engine: Engine) -> VelocityModel:
    """The model as one process can call it: without what gathers gradients, unless it gathers the weights as well."""
    model: Any = engine.model
    inner: nn.Module = getattr(model, "module", model)
    if any(hasattr(parameter, "ds_tensor") for parameter in inner.parameters()):
        return _Called(model)
    return inner


class _Called:
    """A model that can be called and nothing else, so that every pass goes through what gathers its weights."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._model(*args, **kwargs)
