"""A step's log: everything it and its children print goes to a file as well as to where it went before."""

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PIPE_BYTES = 65536
DRAIN_S = 2.0


@contextmanager
def captured_output(path: Path) -> Iterator[None]:
    """Copy stdout and stderr (of child processes too) to `path` while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(target, os.dup(target)) for target in (1, 2)]
    read_end, write_end = os.pipe()
    copier = threading.Thread(target=_copy, args=(read_end, saved[0][1], path), daemon=True)
    copier.start()
    for target, _ in saved:
        os.dup2(write_end, target)
    os.close(write_end)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, original in saved:
            os.dup2(original, target)
        # A child that outlives the step would hold the pipe open: do not wait for it for ever.
        copier.join(DRAIN_S)
        if not copier.is_alive():
            for _, original in saved:
                os.close(original)


def _copy(read_end: int, original: int, path: Path) -> None:
    with path.open("ab", buffering=0) as file, os.fdopen(read_end, "rb", buffering=0) as pipe:
        while data := pipe.read(PIPE_BYTES):
            file.write(data)
            os.write(original, data)


def peak_memory_mb() -> float:
    """Largest resident set so far of this process or of any child it has waited for, MB."""
    peak_kb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak_kb / 1024, 1)
