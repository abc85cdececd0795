"""Tensors of published files given to modules whose names for them are others.

Public evaluation code often loads with `strict=False`, by which a network with half of its weights still answers. Here
every tensor has to be there, of its shape, and none besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from nava.latents.published_weights import open_safetensors, require_same_tensors, shapes_of

Module = TypeVar("Module", bound=nn.Module)


def filled(
    build: Callable[[], Module],
    tensors: Mapping[str, Tensor],
    published_name: Callable[[Module, str], str],
    source: Path,
    device: str = "cpu",
) -> Module:
    """A module with the tensors of a file, in float32, for inference.

    Args:
        build: makes the module; it is built without memory.
        tensors: of the file, by published names.
        published_name: from the module and a name in it to the name in the file.
        source: the file, for messages.
        device: where the module goes.

    Raises:
        InputError: names the first tensor that is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        module = build()
    published = {name: published_name(module, name) for name in module.state_dict()}
    wanted = {published[name]: shape for name, shape in shapes_of(module).items()}
    require_same_tensors(source, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, wanted, {})
    state = {name: _own(tensors[name_there]) for name, name_there in published.items()}
    module.load_state_dict(state, strict=True, assign=True)
    return module.to(device).eval().requires_grad_(False)


def _own(tensor: Tensor) -> Tensor:
    """A copy: tensors that lie in a mapped file change with it, and give other rounding where it is not aligned."""
    return tensor.to(torch.float32, copy=True) if tensor.is_floating_point() else tensor.clone()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. InputError if it is none."""
    with open_safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
