"""What libraries raise while training, in one line that says what to do."""

from __future__ import annotations

import errno
import os
import re

from nava.runtime.errors import NavaError

_GPU_MEMORY = "OutOfMemoryError"
_HOST_MEMORY = "can't allocate memory"
_NO_ROOM = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk's quota is used up",
    errno.EFBIG: "a file grew larger than it may (ulimit -f)",
}
# How libraries written in Rust, safetensors for one, pass on what the system said.
_SYSTEM_SAID = re.compile(r"\(os error (\d+)\)")


class TrainingFailedError(NavaError):
    """Training ended on an error of a library."""


def explained(error: Exception) -> NavaError:
    """The error as one for the user: its own words if it is one already."""
    if isinstance(error, NavaError):
        return error
    text = " ".join(str(error).split())
    if type(error).__name__ == _GPU_MEMORY:
        return TrainingFailedError(
            f"out of GPU memory: {_first_sentence(text)} Lower training.micro_batch_size or loader.max_tokens, set "
            "training.activation_checkpointing=true, or shard more (training.zero_stage); `nava train plan` reckons it"
        )
    if isinstance(error, MemoryError) or _HOST_MEMORY in text:
        return TrainingFailedError(
            "out of main memory: lower training.micro_batch_size, loader.prefetch or the number of processes"
        )
    if not isinstance(error, OSError) and (said := _SYSTEM_SAID.search(text)):
        error = OSError(int(said[1]), os.strerror(int(said[1])))
    if isinstance(error, OSError):
        return TrainingFailedError(_of_system(error))
    return TrainingFailedError(f"{type(error).__name__}: {text[:400]}" if text else type(error).__name__)


def _of_system(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in _NO_ROOM:
        return f"{_NO_ROOM[error.errno]}{where}: make room and run the same command again"
    return f"{error.strerror or ' '.join(str(error).split()) or type(error).__name__}{where}"


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."
