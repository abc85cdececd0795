"""What a generator computes on and in which number format, as people name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nava.runtime.errors import InputError

if TYPE_CHECKING:
    import torch

# What a model can compute on.
DEVICES = ("cpu", "cuda", "mps")


def device_named(name: str) -> torch.device:
    """A device: ``auto`` is the GPU where there is one. InputError for one that is not to be had here."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in DEVICES:
        raise InputError(f"device: {name!r} is not one of auto, {', '.join(DEVICES)}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # What torch raises for a device that it was not built for differs from device to device.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device: {name!r} is not to be had here: {' '.join(str(error).split())}") from error
    return device


def dtype_named(name: str | None, device: torch.device) -> torch.dtype:
    """A number format; without a name float32 on a CPU and bfloat16 elsewhere. InputError for an unknown one."""
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if not name:
        return known["float32" if device.type == "cpu" else "bfloat16"]
    if name not in known:
        raise InputError(f"dtype: {name!r} is unknown; there are {', '.join(known)}")
    return known[name]
