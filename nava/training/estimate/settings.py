"""The settings that an estimate reads, and the sizes of the process groups that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nava.config.cluster import ClusterConfig
from nava.config.curation import ClipConfig, CurationConfig
from nava.config.latents import LatentsConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig
from nava.config.training import TrainingConfig
from nava.runtime.errors import InputError
from nava.runtime.step import typed_section
from nava.training.deepspeed_engine import check_combination
from nava.training.world import World

# Bytes of a value that is computed with.
_BYTES = {"bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class RunSettings:
    """Sections of a composed recipe: what is trained, on which clips, on which machines."""

    model: ModelConfig
    training: TrainingConfig
    loader: LoaderConfig
    latents: LatentsConfig
    clip: ClipConfig
    cluster: ClusterConfig

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RunSettings:
        """From the plain values of a composed configuration, as `nava.config.composition.compose` gives them."""
        model = typed_section(ModelConfig, config["model"])
        return cls(
            # A tuple in the schema, a list after JSON.
            replace(model, patch_size=(model.patch_size[0], model.patch_size[1], model.patch_size[2])),
            typed_section(TrainingConfig, config["training"]),
            typed_section(LoaderConfig, config["loader"]),
            typed_section(LatentsConfig, config["latents"]),
            typed_section(CurationConfig, config["curation"]).clip,
            typed_section(ClusterConfig, config["cluster"]),
        )

    @property
    def value_bytes(self) -> int:
        """Bytes of a weight or an activation in the forward pass."""
        return _BYTES[self.training.precision]

    @property
    def data_groups(self) -> int:
        """Groups of processes that work on different micro-batches."""
        return self.cluster.gpus // self.training.sequence_parallel

    @property
    def accumulation(self) -> int:
        """Micro-batches that each group works on in an optimizer step."""
        return self.training.micro_batches_per_step // self.data_groups

    @property
    def optimizer_shards(self) -> int:
        """Into how many parts the optimizer's state is cut."""
        return self.cluster.gpus if self.training.zero_stage >= 1 else 1

    @property
    def weight_shards(self) -> int:
        """Into how many parts the weights are cut."""
        return self.cluster.gpus if self.training.zero_stage == 3 else 1

    def with_training(self, **changes: object) -> RunSettings:
        """The same with other settings of the section `training`."""
        return replace(self, training=replace(self.training, **changes))  # type: ignore[arg-type]

    def check(self) -> None:
        """Refuse settings that cannot go together on these machines, or that the closed forms do not cover.

        Raises:
            InputError: names the setting and what it may be.
        """
        training, heads = self.training, self.model.num_heads
        if self.model.architecture != "align_then_fuse":
            raise InputError(
                f"model.architecture is {self.model.architecture}: the plan knows the operations and the memory of "
                "align_then_fuse only"
            )
        World(size=self.cluster.gpus, sequence_parallel=training.sequence_parallel).check(training)
        if training.engine == "deepspeed":
            check_combination(training)
        if heads % training.sequence_parallel:
            raise InputError(
                f"training.sequence_parallel is {training.sequence_parallel}; it must divide model.num_heads = {heads}"
            )
