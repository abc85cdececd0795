"""Checkpoints in PyTorch's own format, read without running code that may be in them and without a second copy."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError


def read_torch_checkpoint(path: Path) -> Any:
    """The object in a file of ``torch.save``; its tensors are mapped from the file, not copied into memory.

    Files from before torch 1.6 are no archives; they are read, but cannot be mapped.

    Raises:
        InputError: not such a file, cut short, or a pickle that holds more than tensors and plain values.
    """
    import torch

    if not path.is_file():
        raise InputError(f"{path} is missing")
    archive = zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        if not archive and "unsupported global" not in str(error).lower():
            raise InputError(f"{path} is not a PyTorch checkpoint, or it is cut short: copy it again") from error
        if not isinstance(error, pickle.UnpicklingError):
            raise InputError(f"{path} cannot be read ({_first_line(error)}): copy it again") from error
        raise InputError(
            f"{path} holds code or objects besides tensors, or is damaged, and is not opened: get it from its publisher"
        ) from error


def read_state_dict(path: Path) -> dict[str, Any]:
    """The tensors by name in a file of ``torch.save``, whether they lie there plainly or under ``state_dict``.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    import torch

    value = read_torch_checkpoint(path)
    if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
        value = value["state_dict"]
    if not isinstance(value, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in value.values()):
        raise InputError(f"{path} holds no tensors by name: it is not the checkpoint that is wanted")
    return {str(name): tensor for name, tensor in value.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
