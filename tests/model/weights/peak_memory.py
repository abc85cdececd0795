"""Run in a process of its own: by how many MB memory grows at most while a stack of linear maps is loaded.

    python peak_memory.py LAYERS WIDTH FILE:DTYPE ...

Prints one figure per file. The peak of resident memory is the kernel's, set back before each file (Linux).
"""

import ctypes
import re
import sys
from pathlib import Path

import torch
from torch import nn

from nava.model.weights import files
from nava.model.weights.load import load_weights

STATUS = Path("/proc/self/status")


def status_mb(field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    files._REMAP_BYTES = 1 << 26
    layers, width = int(sys.argv[1]), int(sys.argv[2])
    # What the first conversion of a tensor takes is not of interest.
    torch.ones(8).to(torch.bfloat16).sum()
    for argument in sys.argv[3:]:
        path, _, name = argument.rpartition(":")
        dtype = getattr(torch, name)
        with torch.device("meta"):
            model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(layers)))
        # What the last file took is given back first.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = status_mb("VmRSS")
        load_weights(model, path, dtype=dtype)
        assert all(parameter.dtype == dtype and not parameter.is_meta for parameter in model.parameters())
        print(status_mb("VmHWM") - before)
        del model


main()
