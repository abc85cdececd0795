"""A golden set: a folder with a manifest, weight files and case files, as the released code wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nava.evaluation.parity.released_config import SPEAKER_WEIGHT, model_config
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.model.weights.files import open_weights
from nava.model.weights.load import load_weights
from nava.model.weights.stored import StoredModel
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import read_json

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
_SUFFIX = ".safetensors"
_OWN_WEIGHTS = "_weights.safetensors"


class DamagedFileError(Exception):
    """A file of the set is not what the manifest says."""


@dataclass(frozen=True)
class Case:
    """One case file: what the released code was given (`in.*`, `meta`) and what it answered."""

    name: str
    path: Path
    meta: Mapping[str, Any]
    sha256: str | None
    # What the manifest says the file holds, in the order it was written: name to [shape, dtype]. Empty if it does not.
    listing: Mapping[str, Any]

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The file's tensors, in the manifest's order.

        Raises:
            DamagedFileError: the file cannot be read, or holds other tensors than the manifest says.
        """
        found = read_tensors(self.path)
        if not self.listing:
            return found
        for name in (*self.listing, *found):
            if name not in found or name not in self.listing:
                where = "the manifest" if name in found else self.path.name
                raise DamagedFileError(f"{name} is not in {where}; {self.path.name} does not hold what is listed")
            if list(found[name].shape) != list(self.listing[name][0]):
                raise DamagedFileError(f"{self.path.name}: {name} is {list(found[name].shape)}, not as listed")
        return {name: found[name] for name in self.listing}

    def samples(self, prefix: str) -> list[Tensor]:
        """The tensors `prefix`.0, `prefix`.1, ... of a batch."""
        found: list[Tensor] = []
        while (name := f"{prefix}.{len(found)}") in self.tensors:
            found.append(self.tensors[name])
        return found


class GoldenSet:
    """The cases of a folder and the models they are of.

    Raises:
        InputError: there is no manifest, or it is not one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = _read_manifest(folder)
        self.config: dict[str, Any] = manifest["config"]
        self.files: dict[str, dict[str, Any]] = manifest["files"]
        self._models: dict[tuple[str, str], NavaTransformer] = {}

    @property
    def weight_files(self) -> list[str]:
        """Names of the set's weight files."""
        return [name for name in self.files if name == WEIGHTS or name.endswith(_OWN_WEIGHTS)]

    @property
    def cases(self) -> list[Case]:
        """Every other file of the manifest, in its order."""
        weights = set(self.weight_files)
        return [self.case(name.removesuffix(_SUFFIX)) for name in self.files if name not in weights]

    def case(self, name: str) -> Case:
        """The case of that name.

        Raises:
            InputError: the manifest has none.
        """
        file = name + _SUFFIX if name + _SUFFIX in self.files else name
        if file not in self.files:
            raise InputError(f"{self.folder / MANIFEST} lists no case {name!r}")
        entry = self.files[file]
        return Case(name, self.folder / file, entry.get("meta") or {}, entry.get("sha256"), entry.get("tensors") or {})

    def weights_of(self, case: str) -> str:
        """Name of the weight file that a case runs on: its own if it has one."""
        own = case + _OWN_WEIGHTS
        return own if own in self.files else WEIGHTS

    def config_of(self, case: Case) -> dict[str, Any]:
        """The released settings of a case's model: the set's, changed as its weights or the case itself say."""
        weights = self.files.get(self.weights_of(case.name), {}).get("meta") or {}
        return self.config | weights.get("config_override", {}) | case.meta.get("config_override", {})

    def model(self, case: Case) -> NavaTransformer:
        """The model of a case with its weights, ready to predict. Cases of the same weights share it.

        Raises:
            DamagedFileError: the weight file is absent, or is not what the manifest recorded.
            InputError: it cannot be read or is not of this model, or the settings are of no model here.
        """
        file, released = self.weights_of(case.name), self.config_of(case)
        key = (file, sha256_json(released))
        if key not in self._models:
            self._models[key] = self._load(file, released)
        return self._models[key]

    def _load(self, file: str, released: Mapping[str, Any]) -> NavaTransformer:
        path = self.folder / file
        if file not in self.files or not path.is_file():
            raise DamagedFileError(f"the weights {file} are missing")
        check_hash(path, self.files[file].get("sha256"))
        speakers = StoredModel(open_weights(path)).tensors.get(SPEAKER_WEIGHT)
        model = build_model(model_config(released, speakers.shape[0] if speakers else None), device="meta")
        load_weights(model, path)
        return model.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        DamagedFileError: it cannot be read.
    """
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFileError(f"{path.name} cannot be read: {error}") from error


def check_hash(path: Path, expected: str | None) -> None:
    """Raise DamagedFileError if the file's content is not what the manifest recorded; without a record, accept it."""
    if expected is not None and sha256_file(path) != expected:
        raise DamagedFileError(f"{path.name} was changed: its sha256 is not the manifest's")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one that holds a {MANIFEST}")
    if not path.is_file():
        raise InputError(f"there is no {MANIFEST} in {folder}; it lists the cases to run")
    try:
        manifest = read_json(path)
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    for key in ("config", "files"):
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), dict):
            raise InputError(f"{path} has no object {key!r}; it is not the manifest of a golden set")
    _check_names(path, manifest["files"])
    result: dict[str, Any] = manifest
    return result


def _check_names(path: Path, files: Mapping[str, Any]) -> None:
    for name in files:
        if Path(name).name != name or name in (".", ".."):
            raise InputError(f"{path} lists {name!r}; files lie in the folder itself")
        if not isinstance(files[name], dict):
            raise InputError(f"{path}: the entry of {name!r} is not an object")
