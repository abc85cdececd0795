"""What others have stated about a run of the same recipe, and what would explain the difference to the estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nava.training.estimate.duration import gpu_hours, peak_flops, step_estimate
from nava.training.estimate.parameters import Parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import largest_micro_batch

_HOUR_S = 3600.0
# Looked for among clips of up to so many latent frames.
_MOST_LATENT_FRAMES = 400


@dataclass(frozen=True)
class Published:
    """A stated cost.

    Attributes:
        gpu_hours: of all stages.
        gpus: that ran for so long.
        gpu: which they were.
        source: where it is stated.
    """

    gpu_hours: float
    gpus: int
    gpu: str
    source: str


# By recipe.
PUBLISHED = {"paper": Published(107_520, 160, "H100", "NAVA, arXiv 2605.30073: three stages")}


@dataclass(frozen=True)
class Comparison:
    """An estimate beside a published figure, and what each of several assumptions would make of it.

    Attributes:
        published: the figure.
        estimated_hours: GPU-hours of the estimate.
        implied_hardware_utilisation: share of the peak, with what is computed again, at which this recipe would take
            the published hours.
        implied_mfu: the same without what is computed again.
        hours_without_recomputation: if all activations could be kept.
        hours_all_audio_video: if every micro-batch had video, in all stages.
        utilisation_if_both: share of the peak if every micro-batch had video and only as many GPUs trained as the
            recipe has.
        seconds_that_explain: length of clip at which the estimate is the published figure, if there is one.
        tokens_that_explain: video tokens of such a clip.
    """

    published: Published
    estimated_hours: float
    implied_hardware_utilisation: float
    implied_mfu: float
    hours_without_recomputation: float
    hours_all_audio_video: float
    utilisation_if_both: float
    seconds_that_explain: float | None
    tokens_that_explain: int | None

    @property
    def ratio(self) -> float:
        """Estimate over published figure."""
        return self.estimated_hours / self.published.gpu_hours


def total_hours(settings: RunSettings, parameters: Parameters) -> float:
    """GPU-hours of all stages."""
    stages = settings.training.stages()
    seconds = sum(stage.steps * step_estimate(stage, settings, parameters).seconds for stage in stages)
    return gpu_hours(seconds, settings)


def compare(recipe: str, settings: RunSettings, parameters: Parameters) -> Comparison | None:
    """The estimate beside what was published about the recipe; None if nothing was."""
    published = PUBLISHED.get(recipe)
    if published is None:
        return None
    steps = [(stage.steps, step_estimate(stage, settings, parameters)) for stage in settings.training.stages()]
    offered = published.gpu_hours * _HOUR_S * peak_flops(settings)
    frames = _frames_that_take(published.gpu_hours, settings, parameters)
    longer = None if frames is None else _with_frames(settings, frames)
    paired_hours = total_hours(_all_audio_video(settings), parameters)
    trained = published.gpu_hours * min(1.0, settings.cluster.gpus / published.gpus)
    return Comparison(
        published=published,
        estimated_hours=total_hours(settings, parameters),
        implied_hardware_utilisation=sum(count * step.executed_flops for count, step in steps) / offered,
        implied_mfu=sum(count * step.model_flops for count, step in steps) / offered,
        hours_without_recomputation=total_hours(settings.with_training(activation_checkpointing=False), parameters),
        hours_all_audio_video=paired_hours,
        utilisation_if_both=settings.cluster.assumed_mfu * paired_hours / trained,
        seconds_that_explain=None if frames is None else settings.clip.duration_s(frames),
        tokens_that_explain=None if longer is None else _most_video_tokens(longer),
    )


def _all_audio_video(settings: RunSettings) -> RunSettings:
    stages = settings.training.stages()
    paired = {f"stage{n}": replace(stage, audio_only=0, audio_video=1) for n, stage in enumerate(stages, start=1)}
    return settings.with_training(**paired)


def _with_frames(settings: RunSettings, frames: int) -> RunSettings:
    return replace(settings, clip=replace(settings.clip, frame_counts=[frames]))


def _frames_that_take(hours: float, settings: RunSettings, parameters: Parameters) -> int | None:
    """The shortest clips with which all stages take so long; None if even very long ones do not."""
    stride = settings.latents.video.temporal_stride
    low, high = 0, _MOST_LATENT_FRAMES
    if total_hours(_with_frames(settings, high * stride + 1), parameters) < hours:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = total_hours(_with_frames(settings, middle * stride + 1), parameters) >= hours
        low, high = (low, middle) if enough else (middle, high)
    return high * stride + 1


def _most_video_tokens(settings: RunSettings) -> int:
    return largest_micro_batch(settings).tokens.video
