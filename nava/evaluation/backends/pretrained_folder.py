"""Models of the transformers library from folders as on the hub; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nava.artifacts.quiet_transformers import quiet_transformers
from nava.artifacts.weight_files import WeightFile, locate
from nava.runtime.errors import InputError

WEIGHTS_FILE = "model.safetensors"
# Buffers that the model computes by itself and that older files hold all the same.
_COMPUTED = (".position_ids", ".relative_position_index")


def require_files(weights: str, wanted: Iterable[WeightFile]) -> Path:
    """The folder, once all files are found in it.

    Raises:
        InputError: a file was given, whose hash says nothing of the files beside it that decide as much; or a file is
            missing, with how to get it.
    """
    if Path(weights).expanduser().is_file():
        raise InputError(f"{weights} is a file: give its folder, the files beside it belong to the weights")
    paths = [locate(weight, weights) for weight in wanted]
    return paths[0].parent


def pretrained(kind: Any, folder: Path, device: str, besides: tuple[str, ...] = ()) -> Any:
    """A model in float32, for inference.

    Args:
        kind: its class.
        folder: with `config.json` and `model.safetensors`.
        device: where it goes.
        besides: beginnings of names of tensors that the file holds and the model has no use for.

    Raises:
        InputError: the folder does not hold that model; names the first tensor that is missing, unknown or of another
            shape.
    """
    import torch
    from safetensors import SafetensorError

    try:
        with quiet_transformers():
            model, report = kind.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
            )
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{folder} does not hold a {kind.__name__}: {' '.join(str(error).split())}") from error
    unknown = [
        name for name in report["unexpected_keys"] if not name.endswith(_COMPUTED) and not name.startswith(besides)
    ]
    mismatched = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in report["mismatched_keys"]]
    for problem, names in (
        ("lacks", report["missing_keys"]),
        ("has an unknown", unknown),
        ("has another shape of", mismatched),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(f"{folder / WEIGHTS_FILE} {problem} tensor '{min(names)}'{more}")
    return model.to(device).eval().requires_grad_(False)
