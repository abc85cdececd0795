"""Published weights that a codec refers to: found and hashed, read tensor by tensor, never run as code.

A codec of published weights keeps a reference to its file (name, hash, size, repository, licence), not the weights.
"""

import pickle
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nava.artifacts.weight_files import WeightFile, locate
from nava.latents.codec_files import CONFIG_FILE, FORMAT_VERSION, read_config
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import write_json

Shapes = dict[str, tuple[int, ...]]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Reference:
    """Which file holds a codec's weights.

    Attributes:
        file: name as published.
        sha256: of the very file that was used.
        size_bytes: of the same file; a copy that was cut short is found by it at once.
        repository: owner and name on the hub.
        licence: SPDX id, or the name of the licence.
    """

    file: str
    sha256: str
    size_bytes: int
    repository: str
    licence: str


def find_weights(weight: WeightFile, weights: str | Path | None, cache: str | Path | None = None) -> Path:
    """The file on this machine.

    Raises:
        InputError: no location was given, or the file is not there; the message says what it is and how to obtain it.
    """
    if not weights:
        raise InputError(
            f"the codec needs {weight.file} ({weight.size}, licence {weight.licence}) of {weight.repository}: "
            "say where it is (its file, folder or bucket address)"
        )
    return locate(weight, weights, Path(cache) if cache else None)


def reference_to(weight: WeightFile, path: Path) -> Reference:
    """Hash a file of published weights."""
    return Reference(weight.file, sha256_file(path), path.stat().st_size, weight.repository, weight.licence)


def write_reference(directory: Path, type_name: str, settings: dict[str, Any], reference: Reference, key: str) -> None:
    """Write ``config.json`` of a codec whose weights lie elsewhere; ``key`` is its identity."""
    config = {
        "format_version": FORMAT_VERSION,
        "type": type_name,
        "settings": settings,
        "weights_sha256": reference.sha256,
        "reference": asdict(reference),
        "identity": key,
    }
    write_json(directory / CONFIG_FILE, config)


def read_reference(directory: Path, type_name: str) -> tuple[dict[str, Any], Reference, str]:
    """Settings, reference and identity as ``write_reference`` wrote them.

    Raises:
        InputError: the file is missing, of another type, or incomplete.
    """
    config = read_config(directory)
    path = directory / CONFIG_FILE
    if config["type"] != type_name:
        raise InputError(f"{path} describes a {config['type']} codec, expected {type_name}")
    try:
        reference = Reference(**config["reference"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} does not say which file holds the codec's weights") from error
    if reference.sha256 != config["weights_sha256"]:
        raise InputError(f"{path} names two different hashes of its weights; it was edited after it was written")
    return dict(config["settings"]), reference, str(config["identity"])


def identity_of(type_name: str, settings: Mapping[str, Any], reference: Reference) -> str:
    """sha256 over type, the settings that change latents, and the weights."""
    described = {"format_version": FORMAT_VERSION, "type": type_name, "settings": dict(settings)}
    return sha256_json({**described, "weights": reference.sha256})


def verify(path: Path, reference: Reference) -> None:
    """Compare a file with its reference: the size first, because it costs nothing.

    Raises:
        InputError: it is another file, or a damaged copy.
    """
    size = path.stat().st_size
    if size != reference.size_bytes:
        raise InputError(
            f"{path} has {size:,} bytes, but the codec was made with a {reference.file} of "
            f"{reference.size_bytes:,} bytes: copy it again from {reference.repository}"
        )
    digest = sha256_file(path)
    if digest != reference.sha256:
        raise InputError(
            f"{path} has sha256 {digest[:12]}, but the codec was made with {reference.sha256[:12]}: "
            f"it is damaged or another version of {reference.file}"
        )


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``torch.save`` file, mapped from disk where its format allows; code in it is never run.

    Raises:
        InputError: not such a file, cut short, holding something other than named tensors, or a pickle with code.
    """
    try:
        # Files from before torch 1.6 are no archives and cannot be mapped.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower():
            raise InputError(f"{path} holds code, not only tensors; it is refused") from error
        raise InputError(f"{path} is cut short or not a file of torch weights") from error
    except (RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is cut short or not a file of torch weights") from error
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise InputError(f"{path} does not hold named tensors; take the file as it was published")
    return content


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """A safetensors file, opened to read its metadata and single tensors.

    Raises:
        InputError: not such a file, or cut short.
    """
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is cut short or not a safetensors file: {error}") from error


def require_same_tensors(path: Path, given: Shapes, wanted: Shapes, published: Mapping[str, str]) -> None:
    """Compare names and shapes of a file's tensors with those of a model.

    Args:
        path: the file, for messages.
        given: name in the model to shape in the file; a tensor that the model has not keeps its own name.
        wanted: name to shape of the model.
        published: name in the model to name in the file, for messages.

    Raises:
        InputError: names the first tensor that is missing, unknown or of another shape.
    """
    for problem, names in (("lacks", wanted.keys() - given.keys()), ("has an unknown", given.keys() - wanted.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(f"{path} {problem} tensor '{min(names)}'{more}")
    for name in sorted(wanted):
        if given[name] != wanted[name]:
            raise InputError(
                f"{path}: tensor '{published.get(name, name)}' has shape {list(given[name])}, "
                f"expected {list(wanted[name])}"
            )


def fill(
    build: Callable[[], nn.Module], tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype, device: torch.device
) -> Any:
    """Build a module without memory of its own and give it tensors, one at a time: there is never a second copy."""
    with torch.device("meta"):
        module = build()
    state = {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors}
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def shapes_of(module: nn.Module) -> Shapes:
    """Name to shape of a module's state."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
