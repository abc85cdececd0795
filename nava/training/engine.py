"""Who takes the optimizer step: DeepSpeed, or a plain loop of the same arithmetic to compare it with.

DeepSpeed runs here as one process on CPU without touching the network: the process group lives in memory and gloo is
bound to the loopback interface. Its shared-memory collectives, for several processes on one machine, are switched off:
one process needs none, and they would be compiled on first use (about 35 s). The optimizer is `torch.optim.AdamW`: the
one that DeepSpeed brings is compiled too (about two minutes).
"""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nava.config.training import TrainingConfig

_TAG = "engine"
# Elements per reduction bucket: DeepSpeed's default of 5e8 would set aside 2 GB for a model of a million parameters.
_BUCKET_ELEMENTS = 2_000_000


class Engine(ABC):
    """Backward passes, clipping, optimizer step, and the state that goes with them.

    Attributes:
        model: what to call for a forward pass.
    """

    model: nn.Module

    @abstractmethod
    def update(self, losses: Iterable[Tensor], learning_rate: float) -> float:
        """One optimizer step over the mean of `losses`, one per micro-batch, computed lazily.

        Returns:
            The norm of the gradient before clipping; not finite if the gradient is not.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and optimizer state into `folder`."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote."""

    @abstractmethod
    def close(self) -> None:
        """Release what the engine holds in this process."""


def create_engine(config: TrainingConfig, model: nn.Module) -> Engine:
    """The engine that a checked configuration names."""
    engines: dict[str, type[PlainEngine] | type[DeepSpeedEngine]] = {"plain": PlainEngine, "deepspeed": DeepSpeedEngine}
    return engines[config.engine](config, model)


def _optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.AdamW:
    betas = (config.beta1, config.beta2)
    # One fused pass over the parameters: the many small tensors of a small model cost more to visit than to update.
    return torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay, fused=True
    )


class PlainEngine(Engine):
    """The reference: backward, clip, AdamW."""

    def __init__(self, config: TrainingConfig, model: nn.Module) -> None:
        self.model = model
        self._clip = config.gradient_clip
        self._accumulation = config.micro_batches_per_step
        self._optimizer = _optimizer(config, model)

    def update(self, losses: Iterable[Tensor], learning_rate: float) -> float:
        """See `Engine.update`."""
        for loss in losses:
            (loss / self._accumulation).backward()
        # What an audio-only step leaves out has gradient 0, not none: its moments decay, as in DeepSpeed's flat buffer.
        for parameter in self.model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(norm)

    def save(self, folder: Path) -> None:
        """See `Engine.save`."""
        state = {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}
        torch.save(state, folder / f"{_TAG}.pt")

    def load(self, folder: Path) -> None:
        """See `Engine.load`."""
        state = torch.load(folder / f"{_TAG}.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def close(self) -> None:
        """See `Engine.close`: nothing to release."""


class DeepSpeedEngine(Engine):
    """DeepSpeed with ZeRO, one at a time in a process."""

    def __init__(self, config: TrainingConfig, model: nn.Module) -> None:
        deepspeed = _import_deepspeed()
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        self._engine, *_ = deepspeed.initialize(
            model=model, optimizer=_optimizer(config, model), config=_deepspeed_config(config), dist_init_required=False
        )
        self._engine.checkpoint_engine.load = _load_weights_only
        self.model = self._engine

    def update(self, losses: Iterable[Tensor], learning_rate: float) -> float:
        """See `Engine.update`. DeepSpeed divides by the accumulation steps and steps after the last of them."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        for loss in losses:
            self._engine.backward(loss)
            self._engine.step()
        return float(self._engine.get_global_grad_norm())

    def save(self, folder: Path) -> None:
        """See `Engine.save`. Not crash-safe by itself: `nava.artifacts.checkpoint` makes it so."""
        self._engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)

    def load(self, folder: Path) -> None:
        """See `Engine.load`."""
        path, _ = self._engine.load_checkpoint(str(folder), tag=_TAG)
        if path is None:
            raise RuntimeError(f"DeepSpeed finds nothing to load in {folder}")

    def close(self) -> None:
        """See `Engine.close`. The process group stays: DeepSpeed remembers groups made in it for the whole process."""
        self._engine.destroy()


def _deepspeed_config(config: TrainingConfig) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": config.micro_batch_size,
        "gradient_accumulation_steps": config.micro_batches_per_step,
        "gradient_clipping": config.gradient_clip,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": config.zero_stage,
            "reduce_bucket_size": _BUCKET_ELEMENTS,
            "allgather_bucket_size": _BUCKET_ELEMENTS,
            "overlap_comm": False,
        },
        "steps_per_print": 1 << 30,
    }


def _import_deepspeed() -> Any:
    """Import DeepSpeed for one quiet process on CPU. It reads these variables when imported, so they are set here."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_RANK", "0")
    if Path("/sys/class/net/lo").exists():
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    import deepspeed
    import deepspeed.ops

    # DeepSpeed asks this table whether it may compile an extension.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    return deepspeed


def _load_weights_only(path: str, map_location: Any = None) -> Any:
    """DeepSpeed's own loader unpickles anything. Its files need three of its classes beside tensors and numbers."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    with torch.serialization.safe_globals([LossScaler, ZeroStageEnum, fragment_address]):
        return torch.load(path, map_location=map_location, weights_only=True)
