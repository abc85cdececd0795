"""The tensors of a model by name, from its architecture alone: nothing is allocated."""

import math

import torch

from nava.config.model import MODELS, ModelConfig
from nava.model.backbone import NavaTransformer
from nava.runtime.errors import InputError

# What the released file puts before every name.
RELEASED_PREFIX = "backbone."


def named_config(name: str) -> ModelConfig:
    """The configuration of that name. InputError lists the names there are."""
    if name not in MODELS:
        raise InputError(f"unknown model '{name}'; there are {', '.join(MODELS)}")
    return MODELS[name]()


def model_shapes(name: str, prefix: str = RELEASED_PREFIX) -> dict[str, list[int]]:
    """Shape of every tensor in the state dict, by its name in the released file, in the state dict's order.

    Raises:
        InputError: there is no model of that name.
    """
    with torch.device("meta"):
        model = NavaTransformer(named_config(name))
    return {prefix + key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def parameter_count(shapes: dict[str, list[int]]) -> int:
    """Values in all tensors together."""
    return sum(math.prod(shape) for shape in shapes.values())
