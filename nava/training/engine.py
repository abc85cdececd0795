"""Who takes the optimizer step: DeepSpeed, or a plain loop of the same arithmetic to compare it with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from nava.config.training import TrainingConfig
from nava.training.sharded_state import Partition, Piece, ShardedState
from nava.training.world import World


class Engine(ABC):
    """Backward passes, clipping, optimizer step, and the state that goes with them.

    Attributes:
        model: what to call for a forward pass.
        state: what this process owns of weights, moments and average.
    """

    model: nn.Module
    state: ShardedState

    @abstractmethod
    def update(
        self, losses: Iterable[Tensor], learning_rate: float, keep: Callable[[], bool] | None = None
    ) -> float | None:
        """One optimizer step over the mean of `losses`, one per micro-batch, computed lazily.

        Args:
            losses: of this process's micro-batches.
            learning_rate: of this step.
            keep: asked once all losses are computed; where it says no, weights and moments stay as they are. All
                processes must get the same answer.

        Returns:
            The norm of the gradient before clipping; not finite if the gradient is not, and then nothing has changed.
            None if the update was not to be kept.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the engine holds in this process."""


def create_engine(config: TrainingConfig, model: nn.Module, world: World | None = None) -> Engine:
    """The engine that a checked configuration names, for this process of the world."""
    if config.engine == "plain":
        return PlainEngine(config, model, (world or World()).device)
    from nava.training.deepspeed_engine import DeepSpeedEngine

    return DeepSpeedEngine(config, model, world or World())


def adam_w(config: TrainingConfig, model: nn.Module) -> torch.optim.AdamW:
    """The optimizer of what is trained."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    betas = (config.beta1, config.beta2)
    # One fused pass over the parameters: the many small tensors of a small model cost more to visit than to update.
    return torch.optim.AdamW(
        trained, lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay, fused=True
    )


def whole_parameters(model: nn.Module, rank: int = 0, ranks: int = 1) -> list[Partition]:
    """Each trained parameter as a partition of its own, which all processes have and which they take turns to save."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        Partition(parameter, (Piece(name, 0, 0, parameter.numel()),), saved=number % ranks == rank)
        for number, (name, parameter) in enumerate(named)
    ]


class PlainEngine(Engine):
    """The reference, in one process, in float32: backward, clip, AdamW.

    Args:
        config: the recipe.
        model: is moved to the device.
        device: where to compute; None leaves the model where it is.
    """

    def __init__(self, config: TrainingConfig, model: nn.Module, device: torch.device | None = None) -> None:
        self.model = model if device is None else model.to(device)
        self._clip = config.gradient_clip
        self._accumulation = config.micro_batches_per_step
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = adam_w(config, model)
        self.state = ShardedState(whole_parameters(model), self._optimizer, refresh=lambda: None)

    def update(
        self, losses: Iterable[Tensor], learning_rate: float, keep: Callable[[], bool] | None = None
    ) -> float | None:
        """See `Engine.update`."""
        for loss in losses:
            (loss / self._accumulation).backward()
        # What an audio-only step leaves out has gradient 0, not none: its moments decay, as in DeepSpeed's flat buffer.
        for parameter in self._trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        norm = float(nn.utils.clip_grad_norm_(self._trained, self._clip))
        kept = keep is None or keep()
        if kept and norm - norm == 0.0:
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self._optimizer.step()
        self._optimizer.zero_grad()
        return norm if kept else None

    def close(self) -> None:
        """See `Engine.close`: nothing to release."""
