"""The exponential moving average of the weights, which is what a stage hands on to evaluation and serving."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """An average of a model's state, updated in place after each optimizer step."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = {name: value.detach().clone() for name, value in weights.items()}

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """average = decay x average + (1 - decay) x weights."""
        current = model.state_dict()
        names = list(self.weights)
        averages = [self.weights[name] for name in names]
        torch._foreach_lerp_(averages, [current[name] for name in names], 1 - decay)
