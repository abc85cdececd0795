"""Clips that the averaged weights make on the way, so that people see and hear how training goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nava.config.generation import GenerationConfig
from nava.config.training import TrainingConfig
from nava.data.shards import LatentSource
from nava.latents.registry import load_audio_codec, load_video_codec, placed
from nava.runtime.errors import InputError, NavaError
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
# Of a clip that was not made.
_WHY = ".why.txt"
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
    """Refuse samples where a process cannot compute alone.

    Raises:
        InputError: names the settings.
    """
    if config.sample_every_steps and world.size > 1 and (config.zero_stage == 3 or world.sequence_parallel > 1):
        name = "zero_stage" if config.zero_stage == 3 else "sequence_parallel"
        raise InputError(
            f"training.sample_every_steps with training.{name}={getattr(config, name)} in {world.size} processes: each "
            "sample is made by one process, and none holds the model alone; set training.sample_every_steps=0 and "
            "sample from a checkpoint"
        )


class SampleMaker:
    """Makes clips from the texts of a few held-out clips, always the same ones and from the same noise.

    Args:
        sampling: how.
        shards: hold the texts.
        ids: the clips.
        folder: of the run.
        world: who shares the work: a clip is made by one process.
        log: takes plain lines.
    """

    def __init__(
        self,
        sampling: Sampling,
        shards: LatentSource,
        ids: list[str],
        folder: Path,
        world: World,
        log: Callable[[str], None],
    ) -> None:
        self._sampling, self._shards, self._ids = sampling, shards, ids[:CLIPS]
        self._folder, self._world, self._log = folder, world, log
        self._codecs: tuple[VideoCodec, AudioCodec] | None = None

    def make(self, engine: Engine, step: int) -> None:
        """Write clips to `samples/step-N`; all processes together.

        What goes wrong is a warning: it does not end the training.
        """
        part = self._folder / SAMPLES / f".step-{step:08d}.part"
        if not self._world.from_leader(self._world.leads and self._begun(part, step)):
            return
        for number in range(self._world.data_rank, len(self._ids), self._world.data_size):
            self._make_one(_alone(engine), number, part, step)
        # Those who are done ask until all are: nobody waits in one operation for longer than one clip is decoded.
        while self._world.any_says(False):
            pass
        if self._world.leads:
            try:
                self._finish(part, step)
            except (OSError, NavaError) as error:
                self._warn(step, error)
        if self._world.device.type == "cuda":
            # Training gets the memory back.
            self._codecs = None
            torch.cuda.empty_cache()

    def _begun(self, part: Path, step: int) -> bool:
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        except OSError as error:
            self._warn(step, error)
            return False
        return True

    def _make_one(self, model: VelocityModel, number: int, part: Path, step: int) -> None:
        try:
            clip = self._clip(model, self._ids[number], number)
            small = clip.frames is not None and clip.frames.shape[1] < _SMALL_PX
            clip.write(part / self._file(number), upscale=4 if small else 1)
        # Codecs, drivers and disks fail in ways of their own.
        except Exception as error:
            # The first process tells of it: there is one list of events.
            (part / f"{number}{_WHY}").write_text(_line(error))

    def _finish(self, part: Path, step: int) -> None:
        """Put the clips that there are into their place, with a list."""
        for why in sorted(part.glob(f"*{_WHY}")):
            self._warn(step, why.read_text())
        seed = self._sampling.generation.seed
        samples = [
            Sample(self._file(number), self._shards.entries[clip].caption, clip, seed + number)
            for number, clip in enumerate(self._ids)
            if (part / self._file(number)).is_file()
        ]
        place = self._folder / SAMPLES / f"step-{step:08d}"
        if samples:
            with atomic_folder(place) as folder:
                for sample in samples:
                    (part / sample.file).replace(folder / sample.file)
                write_json(folder / SAMPLES_FILE, [asdict(sample) for sample in samples])
            record_event(self._folder, "samples", step, files=[sample.file for sample in samples])
        shutil.rmtree(part)
        missing = len(self._ids) - len(samples)
        self._log(f"samples of step {step}: {place}" + (f"; {missing} could not be made" if missing else ""))

    def _file(self, number: int) -> str:
        return f"{number}.wav" if self._shards.entries[self._ids[number]].video_shape is None else f"{number}.mp4"

    def _warn(self, step: int, reason: Exception | str) -> None:
        line = reason if isinstance(reason, str) else _line(reason)
        self._log(f"warning: samples of step {step}: {line}")
        record_event(self._folder, "warning", step, text=f"samples: {line}")

    def _clip(self, model: VelocityModel, clip_id: str, number: int) -> GeneratedClip:
        # Here, because they bring libraries along that only write media.
        from nava.generation.passes import Speakers
        from nava.generation.pipeline import GeneratedClip
        from nava.generation.sampler import VideoShape, sample_latents

        entry, latents = self._shards.entries[clip_id], self._shards.read([clip_id], with_video=False)
        speakers = None
        if latents.voice_SE is not None and latents.voice_slot_S is not None:
            speakers = Speakers(latents.voice_SE.to(self._world.device), latents.voice_slot_S.to(self._world.device))
        generation = self._sampling.generation
        seed = generation.seed + number
        video_shape: VideoShape | None = None
        if entry.video_shape is not None:
            channels, times, height, width = entry.video_shape
            video_shape = channels, times, height, width
        length, audio_channels = entry.audio_shape
        video, audio = sample_latents(
            model,
            latents.text_BND.to(self._world.device),
            video_shape,
            (length, audio_channels),
            replace(generation, mode="corrected"),
            [seed],
            speakers=speakers,
            on_step=self._still_at_it,
        )
        video_codec, audio_codec = self._loaded()
        assert audio is not None
        frames = None if video is None else video_codec.decode(video.float().cpu())[0].numpy()
        samples = audio_codec.decode(audio.float().cpu())[0].float().numpy()
        rate = audio_codec.output_sample_rate_hz
        return GeneratedClip(latents.captions[0], seed, frames, _FRAMES_PER_S, samples, rate)

    def _still_at_it(self, _done: int, _of: int) -> None:
        self._world.any_says(True)

    def _loaded(self) -> tuple[VideoCodec, AudioCodec]:
        if self._codecs is None:
            sampling = self._sampling
            self._codecs = (
                placed(load_video_codec(sampling.codec, sampling.video_weights or None), self._world.device),
                placed(load_audio_codec(sampling.codec, sampling.audio_weights or None), self._world.device),
            )
        return self._codecs


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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
