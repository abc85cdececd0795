"""How fast a step computes: operations per second, and the share of what the hardware could do (MFU)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nava.config.lora import LoraConfig
from nava.config.model import ModelConfig
from nava.data.loader.sampler import SampledBatch
from nava.data.shards import LatentSource
from nava.training.estimate.operations import forward_operations, needed_operations
from nava.training.estimate.parameters import Parameters, count_parameters
from nava.training.estimate.workload import Tokens

_TERA = 1e12
# The operations of the other architectures are not in closed form.
_COUNTED = "align_then_fuse"


@dataclass(frozen=True)
class Speed:
    """Figures of a step from its micro-batches.

    Attributes:
        model, parameters: what is trained.
        shards: hold the sizes of clips.
        processes: that share a step.
        peak_tflops: of a process's hardware, 1e12 operations per second; None leaves MFU out.
    """

    model: ModelConfig
    parameters: Parameters
    shards: LatentSource
    processes: int
    peak_tflops: float | None

    @classmethod
    def of(
        cls, model: ModelConfig, lora: LoraConfig, shards: LatentSource, processes: int, peak_tflops: float | None
    ) -> Speed | None:
        """None for an architecture whose operations are not counted."""
        if model.architecture != _COUNTED:
            return None
        return cls(model, count_parameters(model, lora), shards, processes, peak_tflops)

    def operations(self, batch: SampledBatch) -> float:
        """Operations of a micro-batch, forward and backward, without what is computed again."""
        entry = self.shards.entries[batch.ids[0]]
        patches = 0
        if batch.task.modality == "av" and entry.video_shape is not None:
            sizes = zip(entry.video_shape[1:], self.model.patch_size, strict=True)
            patches = math.prod(-(-length // step) for length, step in sizes)
        tokens = Tokens(patches, entry.audio_shape[0] if batch.task.makes_audio else 0, 1 + batch.task.with_image)
        forward = forward_operations(self.model, tokens, len(batch.ids))
        return needed_operations(forward, self.parameters)

    def __call__(self, batches: Sequence[SampledBatch], seconds: float) -> dict[str, float]:
        """`tflops`: of each process, 1e12 operations per second; `mfu`: its share of the peak."""
        tflops = sum(map(self.operations, batches)) / seconds / self.processes / _TERA
        return {"tflops": tflops} | ({"mfu": tflops / self.peak_tflops} if self.peak_tflops else {})
