"""The file that says where the weights of backends are: YAML, backend by backend."""

from __future__ import annotations

from pathlib import Path

from nava.evaluation.extraction.extractor import entry_of
from nava.runtime.errors import InputError

FIELDS = ("weights", "sha256", "device")


def read_backend_file(path: Path) -> dict[str, dict[str, str]]:
    """Settings by backend: `weights` (a path; relative ones lie beside the file), `sha256`, `device`.

    Raises:
        InputError: no such file, or a wrong entry; the message names backend and field.
    """
    import yaml

    if not path.is_file():
        raise InputError(f"there is no file of backends at {path}")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} must name backends, each with weights, sha256 and device")
    found = {}
    for name, entry in value.items():
        entry_of(str(name))
        if not isinstance(entry, dict) or not isinstance(entry.get("weights"), str):
            raise InputError(f"{path}: {name}: field weights must be a path")
        if unknown := set(entry) - set(FIELDS):
            raise InputError(
                f"{path}: {name}: unknown field {', '.join(sorted(unknown))}; there are {', '.join(FIELDS)}"
            )
        weights = (path.parent / Path(entry["weights"]).expanduser()).resolve()
        found[str(name)] = {**{key: str(part) for key, part in entry.items()}, "weights": str(weights)}
    return found
