"""Recomputing blocks in the backward pass changes no gradient, dropout or not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nava.model.recomputation import recompute_blocks


class Stack(nn.Module):
    """Two blocks with dropout."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 8)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def gradients(dropout: float, prepare: Callable[[nn.Module], nn.Module]) -> list[Tensor]:
    model = prepare(Stack(dropout))
    torch.manual_seed(1)
    model(torch.ones(4, 8)).square().sum().backward()
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients_are_those_of_a_pass_that_keeps_everything(dropout: float) -> None:
    expected = gradients(dropout, lambda model: model)
    assert all(now.equal(then) for now, then in zip(gradients(dropout, recompute_blocks), expected, strict=True))


def test_names_stay() -> None:
    assert set(recompute_blocks(Stack(0.5)).state_dict()) == set(Stack(0.5).state_dict())
