"""The dry run: what a recipe needs on a cluster, reckoned before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nava.runtime.errors import InputError
from nava.training.estimate.duration import StepEstimate, gpu_hours, peak_flops, step_estimate
from nava.training.estimate.fitting import require_fit
from nava.training.estimate.memory import Memory, memory_of
from nava.training.estimate.parameters import Parameters, count_parameters
from nava.training.estimate.published import Comparison, compare
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import MicroBatchShape, largest_micro_batch


@dataclass(frozen=True)
class StagePlan:
    """One stage: its length in optimizer steps, and an average step."""

    number: int
    steps: int
    step: StepEstimate
    gpu_hours: float
    mfu: float


@dataclass(frozen=True)
class DryRun:
    """What a recipe needs.

    Attributes:
        recipe: its name.
        settings: of the run.
        parameters: of the model and of its adapters.
        largest: the micro-batch that decides the memory.
        memory: of each GPU.
        stages: in order.
        comparison: with what was published, if anything was.
    """

    recipe: str
    settings: RunSettings
    parameters: Parameters
    largest: MicroBatchShape
    memory: Memory
    stages: list[StagePlan]
    comparison: Comparison | None

    @property
    def gpu_hours(self) -> float:
        """Of all stages."""
        return sum(stage.gpu_hours for stage in self.stages)

    @property
    def days(self) -> float:
        """On the clock, nothing failing."""
        return self.gpu_hours / self.settings.cluster.gpus / 24

    @property
    def cost_usd(self) -> float | None:
        """None without a price."""
        price = self.settings.cluster.price_usd_per_gpu_hour
        return self.gpu_hours * price if price else None

    def to_json(self) -> dict[str, Any]:
        """Plain values; sizes in bytes, times in seconds unless the name says otherwise."""
        memory = {"parts": self.memory.parts(), "peak": self.memory.peak, "capacity": self.memory.capacity}
        return {
            "recipe": self.recipe,
            "cluster": asdict(self.settings.cluster),
            "parameters": asdict(self.parameters) | {"model": self.parameters.model},
            "memory_bytes": memory | {"reserve": self.memory.reserve},
            "largest_micro_batch": asdict(self.largest),
            "stages": [asdict(stage) | {"step_s": stage.step.seconds} for stage in self.stages],
            "gpu_hours": self.gpu_hours,
            "days": self.days,
            "cost_usd": self.cost_usd,
            "published": None if self.comparison is None else asdict(self.comparison),
        }


def dry_run(config: Mapping[str, Any], recipe: str) -> DryRun:
    """Reckon what a recipe needs. No GPU is touched and nothing is allocated.

    Args:
        config: the composed configuration as plain values.
        recipe: its name.

    Raises:
        InputError: the recipe does not fit into the cluster's GPUs, or its settings cannot go together on them.
    """
    settings = RunSettings.of(config)
    settings.check()
    parameters = count_parameters(settings.model, settings.training.lora)
    largest = largest_micro_batch(settings)
    memory = memory_of(settings, parameters, largest)
    try:
        require_fit(settings, memory)
    except InputError as error:
        raise InputError(f"recipe '{recipe}' {error}") from error
    training = settings.training
    numbers = range(training.first_stage, len(training.stages()) + 1)
    stages = [_stage_plan(number, settings, parameters) for number in numbers]
    return DryRun(recipe, settings, parameters, largest, memory, stages, compare(recipe, settings, parameters))


def _stage_plan(number: int, settings: RunSettings, parameters: Parameters) -> StagePlan:
    stage = settings.training.stages()[number - 1]
    step = step_estimate(stage, settings, parameters)
    mfu = step.model_flops / (step.seconds * settings.cluster.gpus * peak_flops(settings))
    return StagePlan(number, stage.steps, step, gpu_hours(stage.steps * step.seconds, settings), mfu)
