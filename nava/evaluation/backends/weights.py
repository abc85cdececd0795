"""Folders of published weights for networks of our own: the files are those that were named, every tensor is there.

Nothing is fetched, and nothing else than what was named is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nava.artifacts.weight_files import WeightFile, WeightsMissing, missing
from nava.runtime.errors import InputError
from nava.runtime.hashing import is_sha256, sha256_path

if TYPE_CHECKING:
    from torch import Tensor, nn


def file_in(weights: str, wanted: WeightFile) -> Path:
    """A file of a folder of weights; WeightsMissing says how to get it."""
    path = Path(weights).expanduser() / wanted.file
    if not path.is_file():
        raise WeightsMissing(missing(wanted, weights))
    return path


def verified_sha256(backend: str, weights: str, sha256: str) -> str:
    """The hash of a folder of weights, once it is the one that was named.

    Raises:
        InputError: it is another, or none was named; the message says which it is.
    """
    path = Path(weights).expanduser()
    found = sha256_path(path)
    if not is_sha256(sha256):
        raise InputError(f"backend {backend}: sha256 must be the 64 hex digits of its weights; {path} has {found}")
    if found != sha256:
        raise InputError(
            f"backend {backend}: {path} has sha256 {found}, but {sha256} is wanted: a file in it is damaged or of "
            "another version, or there are other files beside the weights"
        )
    return found


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, optional: Sequence[str] = ()) -> None:
    """Give a network the tensors of a file, for inference.

    Args:
        network: changed in place.
        tensors: of the file, by the network's own names.
        path: of the file, for messages.
        optional: endings of names that the file need not have.

    Raises:
        InputError: names the first tensor that is missing, unknown or of another shape.
    """
    from nava.latents.published_weights import require_same_tensors, shapes_of

    wanted = shapes_of(network)
    absent = {name for name in wanted if name not in tensors and name.endswith(tuple(optional))}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    require_same_tensors(path, given, {name: shape for name, shape in wanted.items() if name not in absent}, {})
    network.load_state_dict(dict(tensors), strict=not absent)
    network.eval().requires_grad_(False)
