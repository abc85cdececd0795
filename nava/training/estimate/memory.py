"""Memory of each GPU by part, as DeepSpeed's ZeRO divides it."""

from __future__ import annotations

from dataclasses import dataclass

from nava.training.estimate.activations import activation_bytes
from nava.training.estimate.parameters import Parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import MicroBatchShape

GIB = 2**30
_FLOAT32 = 4
# Elements of a reduction bucket, as the engine sets them: a quarter of the model, but neither less nor more than this.
_LEAST_BUCKET, _LARGEST_BUCKET = 2_000_000, 500_000_000
# Elements that ZeRO 3 may have gathered at a time (stage3_max_live_parameters).
_LIVE_PARAMETERS = 1_000_000_000


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU.

    Attributes:
        always: what stays through a step, by part.
        backward: what comes on top while a micro-batch is in work.
        update: what comes on top while the optimizer steps, when activations are gone.
        reserve: left to the CUDA context, communication and gaps.
        capacity: of the GPU.
    """

    always: dict[str, float]
    backward: dict[str, float]
    update: dict[str, float]
    reserve: float
    capacity: float

    @property
    def peak(self) -> float:
        """The most that is needed at a time, the reserve included."""
        return sum(self.parts().values()) + self.reserve

    @property
    def fits(self) -> bool:
        """Whether the GPU has as much."""
        return self.peak <= self.capacity

    def parts(self) -> dict[str, float]:
        """The parts that are there when the most is needed."""
        backward, update = sum(self.backward.values()), sum(self.update.values())
        return self.always | (self.backward if backward >= update else self.update)

    def largest(self) -> str:
        """Name of the largest part."""
        parts = self.parts()
        return max(parts, key=lambda name: parts[name])


def memory_of(settings: RunSettings, parameters: Parameters, batch: MicroBatchShape) -> Memory:
    """Memory of a GPU that trains with micro-batches as large as `batch`."""
    training, size = settings.training, settings.value_bytes
    stage, trained = training.zero_stage, parameters.trained
    owned = trained / settings.optimizer_shards
    always = {
        "weights": parameters.total * size / settings.weight_shards,
        "gradients": owned * _FLOAT32 if stage >= 2 else trained * size,
        "optimizer (Adam moments, float32 weights)": owned * _FLOAT32 * (3 if stage else 2),
        "moving average": owned * _FLOAT32,
        "communication buckets": _bucket_bytes(settings, parameters),
    }
    found = activation_bytes(batch, settings)
    backward = {
        "activations kept": found.kept,
        "activations of one block again": found.again,
        "gradients of activations": found.working,
        "latents and loss": found.loss,
        "gathered weights": min(parameters.total, _LIVE_PARAMETERS) * size if stage == 3 else 0.0,
    }
    # The optimizer sees a float32 copy of the gradients it owns.
    update = {"float32 gradients": owned * _FLOAT32 if stage else 0.0}
    capacity = settings.cluster.gpu_memory_gib * GIB
    return Memory(always, backward, update, capacity * settings.cluster.memory_reserve, capacity)


def _bucket_bytes(settings: RunSettings, parameters: Parameters) -> float:
    """Two, so that one is filled while the other is sent; none on a single GPU without ZeRO."""
    if settings.training.engine == "plain":
        return 0.0
    elements = min(max(parameters.total // 4, _LEAST_BUCKET), _LARGEST_BUCKET)
    return 2 * elements * settings.value_bytes
