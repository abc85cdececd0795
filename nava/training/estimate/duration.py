"""How long an optimizer step takes: a model of a few lines, whose assumptions are settings of `cluster`."""

from __future__ import annotations

from dataclasses import dataclass

from nava.config.training import StageConfig
from nava.training.estimate.communication import Traffic, exchanged_bytes, traffic_of
from nava.training.estimate.operations import micro_batch_operations, needed_operations, repeated_operations
from nava.training.estimate.parameters import Parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import mixture

_TERA, _GB, _HOUR_S = 1e12, 1e9, 3600.0
_FLOAT32 = 4
# Of each parameter the optimizer reads and writes weight, two moments and average, and reads the gradient.
_UPDATE_ACCESSES = 9


@dataclass(frozen=True)
class StepEstimate:
    """An optimizer step of a stage, on average over its micro-batches.

    Attributes:
        video_tokens, audio_tokens, clips: of all GPUs together.
        model_flops: of all GPUs, forward and backward.
        executed_flops: the same with what is computed again.
        compute_s: while something is computed.
        traffic: what each GPU sends, and how long that takes.
        update_s: of the optimizer.
    """

    video_tokens: float
    audio_tokens: float
    clips: float
    model_flops: float
    executed_flops: float
    compute_s: float
    traffic: Traffic
    update_s: float

    @property
    def seconds(self) -> float:
        """What can run beside computation does; the rest is waited for."""
        return max(self.compute_s, self.traffic.hidden_s) + self.traffic.exposed_s + self.update_s


def step_estimate(stage: StageConfig, settings: RunSettings, parameters: Parameters) -> StepEstimate:
    """Estimate a step of a stage. All GPUs are taken to be busy equally long."""
    video = audio = clips = model_flops = executed = compute_s = exchanged = 0.0
    for share, batch in mixture(stage, settings):
        forward = micro_batch_operations(batch, settings)
        needed = needed_operations(forward, parameters)
        flops = needed + repeated_operations(forward, settings, parameters)
        video += share * batch.clips * batch.tokens.video
        audio += share * batch.clips * batch.tokens.audio
        clips += share * batch.clips
        model_flops += share * needed
        executed += share * flops
        compute_s += share * _compute_s(flops / settings.training.sequence_parallel, settings, parameters)
        exchanged += share * exchanged_bytes(settings, batch)
    number = settings.training.micro_batches_per_step
    return StepEstimate(
        video_tokens=video * number,
        audio_tokens=audio * number,
        clips=clips * number,
        model_flops=model_flops * number,
        executed_flops=executed * number,
        compute_s=compute_s * settings.accumulation,
        traffic=traffic_of(settings, parameters, exchanged),
        update_s=_update_s(settings, parameters),
    )


def peak_flops(settings: RunSettings) -> float:
    """Operations per second of one GPU in the recipe's precision, by the data sheet."""
    cluster = settings.cluster
    tera = cluster.peak_bf16_tflops if settings.training.precision == "bf16" else cluster.peak_fp32_tflops
    return tera * _TERA


def gpu_hours(seconds: float, settings: RunSettings) -> float:
    """GPU-hours of so many seconds on all GPUs."""
    return seconds * settings.cluster.gpus / _HOUR_S


def _compute_s(flops: float, settings: RunSettings, parameters: Parameters) -> float:
    """A micro-batch on one GPU: limited by operations, or, when it is small, by reading the weights."""
    passes = 3 if settings.training.activation_checkpointing else 2
    read = passes * parameters.total * settings.value_bytes + 2 * parameters.trained * settings.value_bytes
    limits = (flops / (peak_flops(settings) * settings.cluster.assumed_mfu), read / _memory_speed(settings))
    return max(limits)


def _update_s(settings: RunSettings, parameters: Parameters) -> float:
    owned = parameters.trained / settings.optimizer_shards
    return _UPDATE_ACCESSES * _FLOAT32 * owned / _memory_speed(settings)


def _memory_speed(settings: RunSettings) -> float:
    return settings.cluster.gpu_memory_gb_s * _GB
