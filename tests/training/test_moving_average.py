"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from nava.training.moving_average import MovingAverage


def test_it_moves_by_one_minus_decay_and_leaves_the_model_alone() -> None:
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(model.bias, 4.0)
    average = MovingAverage(model.state_dict())
    nn.init.constant_(model.weight, 2.0)
    average.update(model, 0.75)
    assert average.weights["weight"].tolist() == [[1.25, 1.25]]
    assert average.weights["bias"].tolist() == [4.0]
    assert model.weight.tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 2.0), (1.0, 1.0)])
def test_the_ends(decay: float, expected: float) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    average = MovingAverage({"weight": torch.ones(1, 1)})
    average.update(model, decay)
    assert average.weights["weight"].item() == expected


def test_it_owns_its_weights() -> None:
    start = {"weight": torch.zeros(1, 1)}
    average = MovingAverage(start)
    average.update(nn.Linear(1, 1, bias=False), 0.5)
    assert start["weight"].item() == 0.0
