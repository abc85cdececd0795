"""Published weights that a codec refers to: found, compared, and given to a module tensor by tensor.

A codec of published weights keeps a reference to its file (name, hash, size, repository, licence), not the weights.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nava.artifacts.weight_files import WeightFile, locate
from nava.artifacts.weight_reference import WeightReference
from nava.latents.codec_files import CONFIG_FILE, FORMAT_VERSION, read_config
from nava.latents.interface import AudioCodec, VideoCodec
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_json

Shapes = dict[str, tuple[int, ...]]
C = TypeVar("C", bound=VideoCodec | AudioCodec)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def find_weights(weight: WeightFile, weights: str | Path, cache: str | Path | None = None) -> Path:
    """The file on this machine, for a codec that is made with it.

    Raises:
        InputError: no location was given, or the file is not there; the message says what it is and how to obtain it.
    """
    require_location(weight, weights)
    return locate(weight, weights, Path(cache) if cache else None)


def require_location(weight: WeightFile, weights: str | Path | None) -> None:
    """Refuse to go on without a place to look: InputError says what is needed."""
    if not weights:
        raise InputError(
            f"the codec needs {weight.file} ({weight.size}, licence {weight.licence}) of {weight.repository}: "
            "say where it is (its file, folder or bucket address)"
        )


def write_reference(
    directory: Path, type_name: str, settings: dict[str, Any], reference: WeightReference, key: str
) -> None:
    """Write ``config.json`` of a codec whose weights lie elsewhere; ``key`` is its identity."""
    config = {
        "format_version": FORMAT_VERSION,
        "type": type_name,
        "settings": settings,
        "weights_sha256": reference.sha256,
        "reference": reference.to_json(),
        "identity": key,
    }
    write_json(directory / CONFIG_FILE, config)


def read_reference(directory: Path, type_name: str) -> tuple[dict[str, Any], WeightReference, str]:
    """Settings, reference and identity as ``write_reference`` wrote them.

    Raises:
        InputError: the file is missing, of another type, or incomplete.
    """
    config = read_config(directory)
    path = directory / CONFIG_FILE
    if config["type"] != type_name:
        raise InputError(f"{path} describes a {config['type']} codec, expected {type_name}")
    try:
        reference = WeightReference.from_json(config["reference"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} does not say which file holds the codec's weights") from error
    if reference.sha256 != config["weights_sha256"]:
        raise InputError(f"{path} names two different hashes of its weights; it was edited after it was written")
    return dict(config["settings"]), reference, str(config["identity"])


def resolve(
    weight: WeightFile, reference: WeightReference, weights: str | Path | None, cache: str | Path | None
) -> Path:
    """The very file that a codec was made with.

    Raises:
        InputError: no location was given, or the file is not there, or is another.
    """
    require_location(weight, weights)
    return reference.resolve(weights or "", Path(cache) if cache else None)


def load_referenced(
    directory: Path,
    type_name: str,
    weight: WeightFile,
    location: tuple[str | Path | None, str | Path | None],
    make: Callable[[Path, dict[str, Any], WeightReference], C],
) -> C:
    """The codec that ``write_reference`` described, once its weights are found and its identity matches.

    Args:
        directory: folder of ``config.json``.
        type_name: of the codec.
        weight: the published file.
        location: where that file is (file, folder, hub mirror or bucket address), and where files of a bucket are kept.
        make: weight file, settings and reference to codec.

    Raises:
        InputError: no weights there, or others than the codec was made with.
    """
    settings, reference, identity = read_reference(directory, type_name)
    codec = make(resolve(weight, reference, *location), settings, reference)
    if codec.identity != identity:
        raise InputError(f"{directory / CONFIG_FILE} was edited after it was written; make the codec again")
    return codec


def identity_of(type_name: str, settings: Mapping[str, Any], reference: WeightReference) -> str:
    """sha256 over type, the settings that change latents, and the weights."""
    described = {"format_version": FORMAT_VERSION, "type": type_name, "settings": dict(settings)}
    return sha256_json({**described, "weights": reference.sha256})


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
