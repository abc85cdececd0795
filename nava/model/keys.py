"""The tensors of a model by name, from its architecture alone: nothing is allocated."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from torch import nn

from nava.config.checks import require
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
        InputError: not exactly one is given, the file cannot be read, or it has settings that no model has, or values
            that a setting cannot have; the message names it.
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
    kinds = get_type_hints(ModelConfig)
    for key, item in value.items():
        if not _is_of(item, kinds[key]):
            raise InputError(f"{path}: {key} is {json.dumps(item)}, but must be {_words(kinds[key])}")
    settings: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    config = ModelConfig(**settings)
    config.check()
    require(min(config.patch_size) >= 1, "model.patch_size", list(config.patch_size), "sizes of at least 1")
    return config


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value from JSON is of a setting's type; true is no number, other than in Python."""
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, list) and len(value) == len(inner) and all(map(_is_of, value, inner))
    if inner:
        return any(_is_of(value, each) for each in inner)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def _words(kind: Any) -> str:
    """A setting's type for people: what JSON calls it."""
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        return f"a list of {len(inner)} values, each {_words(inner[0])}"
    if inner:
        return " or ".join(map(_words, inner))
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, "null")


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
