"""What a micro-batch holds: which tasks, of clips of which shapes, and so how many tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import fmean

from nava.config.training import StageConfig
from nava.data.loader.tasks import Task
from nava.runtime.errors import InputError
from nava.training.estimate.settings import RunSettings


@dataclass(frozen=True)
class ClipShape:
    """Frames, and height and width in pixels."""

    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.width}x{self.height}"


@dataclass(frozen=True)
class Tokens:
    """What a pass computes for one sample.

    Attributes:
        video, audio: tokens of each modality.
        times: rows of the time embedding: 2 with a clean first frame, else 1.
        latents: values of all latents.
    """

    video: int
    audio: int
    times: int = 1
    latents: int = 0

    @property
    def total(self) -> int:
        """Of both modalities."""
        return self.video + self.audio


@dataclass(frozen=True)
class MicroBatchShape:
    """A micro-batch of clips of one shape and one task."""

    task: Task
    tokens: Tokens
    clips: int


def clip_shapes(settings: RunSettings) -> list[ClipShape]:
    """The shapes that curation gives to clips: every length in every size."""
    clip = settings.clip
    return [ClipShape(frames, height, width) for width, height in clip.sizes() for frames in clip.frame_counts]


def tokens_of(shape: ClipShape, task: Task, settings: RunSettings) -> Tokens:
    """Tokens of a clip in a pass of a task.

    Raises:
        InputError: the clip is not cut into whole latents.
    """
    video, patch = settings.latents.video, settings.model.patch_size
    stride = video.spatial_stride
    if (shape.frames - 1) % video.temporal_stride or shape.height % stride or shape.width % stride:
        raise InputError(
            f"a clip of {shape} is not cut into whole latents: frames must be 1 more than a multiple of "
            f"{video.temporal_stride}, height and width multiples of {stride}"
        )
    size = (
        (shape.frames - 1) // video.temporal_stride + 1,
        shape.height // stride,
        shape.width // stride,
    )
    patches, values = 1, settings.model.video_channels
    for length, step in zip(size, patch, strict=True):
        patches, values = patches * -(-length // step), values * length
    audio = settings.clip.samples_16k(shape.frames) // settings.clip.samples_multiple
    if task.modality == "audio":
        patches = values = 0
    if not task.makes_audio:
        audio = 0
    return Tokens(patches, audio, 1 + task.with_image, values + audio * settings.model.audio_channels)


def micro_batch(shape: ClipShape, task: Task, settings: RunSettings) -> MicroBatchShape:
    """A micro-batch as the loader fills it.

    Raises:
        InputError: the clip does not fit into the loader's budget, or is not cut into whole latents.
    """
    tokens = tokens_of(shape, task, settings)
    budget = settings.loader.max_tokens
    if not budget:
        return MicroBatchShape(task, tokens, settings.training.micro_batch_size)
    if tokens.total > budget:
        raise InputError(f"a clip of {shape} has {tokens.total} tokens, more than loader.max_tokens ({budget})")
    return MicroBatchShape(task, tokens, budget // tokens.total)


def task_shares(stage: StageConfig) -> dict[Task, float]:
    """Share of each task in the micro-batches of a stage."""
    ratio = asdict(stage.tasks)
    audio, paired = stage.audio_only, stage.audio_video
    shares = {Task.T2A: audio / (audio + paired)}
    for name, share in ratio.items():
        shares[Task(name)] = paired / (audio + paired) * share / sum(ratio.values())
    return {task: share for task, share in shares.items() if share}


def mixture(stage: StageConfig, settings: RunSettings) -> Iterator[tuple[float, MicroBatchShape]]:
    """The micro-batches of a stage with their shares. All shapes of clips count as equally common."""
    shapes = clip_shapes(settings)
    for task, share in task_shares(stage).items():
        for shape in shapes:
            yield share / len(shapes), micro_batch(shape, task, settings)


def largest_micro_batch(settings: RunSettings) -> MicroBatchShape:
    """The micro-batch with the most tokens of all stages, which decides the memory."""
    batches = [batch for stage in settings.training.stages() for _, batch in mixture(stage, settings)]
    return max(batches, key=lambda batch: (batch.clips * batch.tokens.total, batch.tokens.times))


def mean_seconds(settings: RunSettings) -> float:
    """Mean length of the clips in seconds, all lengths equally common."""
    return fmean(settings.clip.duration_s(frames) for frames in settings.clip.frame_counts)
