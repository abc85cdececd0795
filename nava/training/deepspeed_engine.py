"""DeepSpeed with ZeRO as the engine.

The optimizer is `torch.optim.AdamW`: the one that DeepSpeed brings is compiled on first use (about two minutes). So
would be its shared-memory collectives for several processes on one machine without a GPU, which are switched off.
Nothing of DeepSpeed's own checkpoints is used: `nava.training.sharded_state` says why none is needed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nava.config.training import TrainingConfig
from nava.runtime.errors import InputError
from nava.training.engine import Engine, adam_w, whole_parameters
from nava.training.sharded_state import Partition, Piece, ShardedState
from nava.training.world import World, limit_waiting

# Elements per reduction bucket: DeepSpeed's default of 5e8 would set aside 2 GB for a model of a million parameters.
_LARGEST_BUCKET, _LEAST_BUCKET = 500_000_000, 2_000_000


class DeepSpeedEngine(Engine):
    """ZeRO 0 to 3 over all processes; one engine at a time in a process."""

    def __init__(self, config: TrainingConfig, model: nn.Module, world: World) -> None:
        check_combination(config)
        deepspeed = _import_deepspeed()
        self._stage, self._clip = config.zero_stage, config.gradient_clip
        self._accumulation = config.micro_batches_per_step // world.data_size
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._optimizer = adam_w(config, model)
        elements = sum(parameter.numel() for parameter in model.parameters())
        # ZeRO 3 puts a function of its own in its place, which rounds otherwise in bfloat16.
        self._linear = nn.functional.linear
        self._engine, *_ = deepspeed.initialize(
            model=model,
            optimizer=self._optimizer,
            config=_deepspeed_config(config, self._accumulation, elements),
            dist_init_required=False,
        )
        limit_waiting(config.guard.collective_timeout_s)
        self.model = self._engine
        self._module = model
        self._rank, self._size = world.rank, world.size
        self.state = ShardedState(self._partitions(), self._optimizer, self._refresh)

    def update(
        self, losses: Iterable[Tensor], learning_rate: float, keep: Callable[[], bool] | None = None
    ) -> float | None:
        """See `Engine.update`. DeepSpeed divides by the accumulation steps and steps after the last of them."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._forget_gradients()
        skipped = self._engine.skipped_steps
        kept, norm = True, 0.0
        for number, loss in enumerate(losses, start=1):
            last = number == self._accumulation
            kept = not last or keep is None or keep()
            # A gradient that is not finite makes ZeRO drop the step and all it had gathered for it.
            self._engine.backward(loss if kept else loss * float("inf"))
            if last and self._stage == 0:
                norm = self._clip_or_drop(kept)
            self._engine.step()
        if not kept:
            return None
        if self._stage == 0:
            return norm
        return float("inf") if self._engine.skipped_steps > skipped else float(self._engine.get_global_grad_norm())

    def _forget_gradients(self) -> None:
        """ZeRO 3 keeps a step's gradients until the next has others: what that leaves out would be updated by them."""
        if self._stage == 3:
            self._engine.optimizer.grad_partitions_flat_buffer.zero_()

    def _clip_or_drop(self, kept: bool) -> float:
        """ZeRO 0 neither reports the gradient's norm nor drops a step: both are done here, before its step."""
        trained = [parameter for parameter in self._module.parameters() if parameter.requires_grad]
        norm = float(nn.utils.clip_grad_norm_(trained, self._clip))
        if not kept or norm - norm != 0.0:
            for parameter in trained:
                parameter.grad = None
        return norm

    def close(self) -> None:
        """See `Engine.close`. The process group stays: DeepSpeed remembers groups made in it for the whole process."""
        self._engine.destroy()
        nn.functional.linear = self._linear

    def _partitions(self) -> list[Partition]:
        if self._stage == 0:
            return whole_parameters(self._module, self._rank, self._size)
        optimizer = self._engine.optimizer
        if self._stage == 3:
            return [
                Partition(flat, tuple(self._pieces_of_shard(group, params)))
                for group, (flat, params) in enumerate(
                    zip(optimizer.fp32_partitioned_groups_flat, optimizer.fp16_groups, strict=True)
                )
            ]
        return [
            Partition(flat, tuple(self._pieces_of_stretch(params)))
            for flat, params in zip(optimizer.single_partition_of_fp32_groups, optimizer.bit16_groups, strict=True)
        ]

    def _pieces_of_stretch(self, parameters: Iterable[Any]) -> Iterable[Piece]:
        """ZeRO 1 and 2 lay all parameters end to end and give each process a stretch of that."""
        for parameter in parameters:
            mapping = parameter._hp_mapping
            if mapping is not None:
                here, there = mapping.hp_fragment_address, mapping.lp_fragment_address
                yield Piece(self._names[id(parameter)], there.start, here.start, here.numel)

    def _pieces_of_shard(self, group: int, parameters: Iterable[Any]) -> Iterable[Piece]:
        """ZeRO 3 cuts each parameter into equal parts, the last of which is padded."""
        optimizer = self._engine.optimizer
        for parameter in parameters:
            found, offset, _ = optimizer.grad_position[optimizer.get_param_id(parameter)]
            assert found == group
            part = parameter.ds_tensor.ds_numel
            start = self._rank * part
            numel = min(part, parameter.ds_numel - start)
            if numel > 0:
                yield Piece(self._names[id(parameter)], start, offset, numel)

    def _refresh(self) -> None:
        """Let the model's parameters follow the float32 weights."""
        optimizer = self._engine.optimizer
        if self._stage in (1, 2):
            optimizer.update_lp_params()
        elif self._stage == 3:
            for group in range(len(optimizer.fp16_groups)):
                optimizer._reassign_or_swap_out_partitioned_parameters(group)
            # Small parameters are kept whole on every process.
            if kept_whole := optimizer.persistent_parameters:
                kept_whole[0].partition(kept_whole)
                kept_whole[0].all_gather(kept_whole)


def check_combination(config: TrainingConfig) -> None:
    """Refuse what DeepSpeed cannot do.

    Raises:
        InputError: names the settings.
    """
    if config.precision == "bf16" and config.zero_stage == 0:
        raise InputError(
            "training.zero_stage is 0 with training.precision=bf16: without ZeRO the optimizer has no float32 weights; "
            "set training.zero_stage to 1, 2 or 3"
        )
    if config.compile and config.zero_stage == 3:
        raise InputError(
            "training.compile with training.zero_stage=3: blocks whose parameters come and go cannot be compiled "
            "whole; set training.zero_stage to 0, 1 or 2, or training.compile=false"
        )


def _deepspeed_config(config: TrainingConfig, accumulation: int, elements: int) -> dict[str, Any]:
    bucket = min(max(elements // 4, _LEAST_BUCKET), _LARGEST_BUCKET)
    half = config.precision == "bf16"
    return {
        "train_micro_batch_size_per_gpu": config.micro_batch_size,
        "gradient_accumulation_steps": accumulation,
        # ZeRO 0 is clipped here, see `_clip_or_drop`.
        "gradient_clipping": config.gradient_clip if config.zero_stage else 0.0,
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": half, "check_grad_overflow": half},
        # Sums over micro-batches are float32. ZeRO 1 would then take another optimizer, without the overflow check.
        "data_types": {"grad_accum_dtype": "fp32" if config.zero_stage > 1 or not half else "bf16"},
        "zero_optimization": {
            "stage": config.zero_stage,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
            "overlap_comm": torch.cuda.is_available(),
        },
        "steps_per_print": 1 << 30,
    }


def _import_deepspeed() -> Any:
    """Import a quiet DeepSpeed. It reads these variables when imported, so they are set here."""
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    os.environ.setdefault("LOCAL_RANK", "0")
    import deepspeed
    import deepspeed.ops

    # DeepSpeed asks this table whether it may compile an extension.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    return deepspeed
