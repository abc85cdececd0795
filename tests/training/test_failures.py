"""Errors of libraries in one line."""

import errno

import pytest
import torch
from safetensors import SafetensorError

from nava.runtime.errors import InputError
from nava.training.failures import explained


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate"),
            "out of GPU memory: CUDA out of memory. Lower",
        ),
        (MemoryError(), "out of main memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of main memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "no space left on the disk (/data/x)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota is used up: make room and run the same command again"),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "no space left on the disk: make room and run the same command again",
        ),
        (SafetensorError("Error while deserializing header"), "SafetensorError: Error while deserializing header"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.safetensors"), "(a.safetensors)"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (KeyError(), "KeyError"),
    ],
)
def test_each_is_one_line(error: Exception, message: str) -> None:
    told = explained(error)
    assert message in str(told)
    assert "\n" not in str(told)
    assert told.exit_code == 1


def test_what_is_meant_for_the_user_stays() -> None:
    error = InputError("no")
    assert explained(error) is error
