"""The two files of a codec: ``model.safetensors`` and, written last, ``config.json`` with their digest."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_json
from nava.runtime.storage import write_bytes, write_json

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class CodecFiles:
    """What a codec is made of: its registered type, its settings and its tensors."""

    type: str
    settings: dict[str, Any]
    tensors: dict[str, Tensor]

    def weights(self) -> bytes:
        """The tensors as safetensors bytes, the same for the same tensors."""
        return safetensors.torch.save({name: tensor.contiguous() for name, tensor in sorted(self.tensors.items())})

    @property
    def identity(self) -> str:
        """sha256 over type, settings and weights."""
        return _identity(self.type, self.settings, sha256_bytes(self.weights()))


def write_codec(directory: Path, files: CodecFiles) -> None:
    """Write the codec; an interrupted write leaves no ``config.json`` and is therefore no codec."""
    weights = files.weights()
    digest = sha256_bytes(weights)
    config = {
        "format_version": FORMAT_VERSION,
        "type": files.type,
        "settings": files.settings,
        "weights_sha256": digest,
        "identity": _identity(files.type, files.settings, digest),
    }
    write_bytes(directory / WEIGHTS_FILE, weights)
    write_json(directory / CONFIG_FILE, config)


def codec_type(directory: Path) -> str:
    """The type name written in a codec's ``config.json``."""
    return str(read_config(directory)["type"])


def read_codec(directory: Path, expected_type: str) -> CodecFiles:
    """Read a codec and verify type, weights and identity.

    Raises:
        InputError: a file is missing, unreadable, of another type, or changed since it was written.
    """
    config = read_config(directory)
    if config["type"] != expected_type:
        raise InputError(f"{directory / CONFIG_FILE} describes a {config['type']} codec, expected {expected_type}")
    path = directory / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(f"codec weights are missing: {path}; fit the codec again by re-running the encode step")
    weights = path.read_bytes()
    digest = sha256_bytes(weights)
    if digest != config["weights_sha256"]:
        raise InputError(
            f"codec weights {path} have sha256 {digest[:12]}, but {CONFIG_FILE} names {config['weights_sha256'][:12]}: "
            "the file is damaged or was replaced; delete the folder and re-run the encode step"
        )
    if _identity(config["type"], config["settings"], digest) != config["identity"]:
        raise InputError(f"{directory / CONFIG_FILE} was edited after it was written; re-run the encode step")
    return CodecFiles(config["type"], config["settings"], safetensors.torch.load(weights))


def read_config(directory: Path) -> dict[str, Any]:
    """A codec's ``config.json``.

    Raises:
        InputError: it is missing, unreadable, incomplete or of another format version.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"no codec in {directory}: {CONFIG_FILE} is missing")
    try:
        config = json.loads(path.read_text())
        version = config["format_version"]
        complete = {"type", "settings", "weights_sha256", "identity"} <= config.keys()
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a codec description: {error}") from error
    if version != FORMAT_VERSION:
        raise InputError(f"{path} has format version {version}; this release reads version {FORMAT_VERSION}")
    if not complete:
        raise InputError(f"{path} is incomplete: it needs type, settings, weights_sha256 and identity")
    return dict(config)


def _identity(type_name: str, settings: dict[str, Any], weights_sha256: str) -> str:
    described = {"format_version": FORMAT_VERSION, "type": type_name, "settings": settings, "weights": weights_sha256}
    return sha256_json(described)
