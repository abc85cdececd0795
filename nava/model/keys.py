"""The tensors of a model by name, from its architecture alone: nothing is allocated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from nava.config.model import MODELS, ModelConfig
from nava.model.architecture import build_model
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json

# What the released file puts before every name.
RELEASED_PREFIX = "backbone."


def named_config(name: str) -> ModelConfig:
    """The configuration of that name. InputError lists the names there are."""
    if name not in MODELS:
        raise InputError(f"unknown model '{name}'; there are {', '.join(MODELS)}")
    return MODELS[name]()


def config_of(name: str | None, path: Path | None) -> ModelConfig:
    """The configuration of a name, or of a JSON file with a package's or a checkpoint's settings.

    Raises:
        InputError: not exactly one is given, the file cannot be read, or it has settings that no model has.
    """
    if (name is None) == (path is None):
        raise InputError("give --model NAME or --config FILE")
    if path is None:
        return named_config(name or "")
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is no JSON object of model settings")
    if unknown := set(value) - {field.name for field in fields(ModelConfig)}:
        raise InputError(f"{path} has settings that no model has: {', '.join(sorted(unknown))}")
    settings: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    config = ModelConfig(**settings)
    config.check()
    return config


def meta_model(config: ModelConfig) -> nn.Module:
    """The model without values: every tensor has its name and shape and takes no memory.

    Raises:
        InputError: the configuration describes no model.
    """
    return build_model(config, device="meta")


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in the state dict, by name, in order."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def model_shapes(name: str, prefix: str = RELEASED_PREFIX) -> dict[str, list[int]]:
    """Shape of every tensor in the state dict, by its name in the released file, in the state dict's order.

    Raises:
        InputError: there is no model of that name.
    """
    return {prefix + key: list(shape) for key, shape in shapes_of(meta_model(named_config(name))).items()}


def parameter_count(shapes: Mapping[str, Sequence[int]]) -> int:
    """Values in all tensors together."""
    return sum(math.prod(shape) for shape in shapes.values())
