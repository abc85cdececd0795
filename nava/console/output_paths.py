"""Outputs are looked at before the work begins: hours later is too late to learn that nothing can be written."""

import tempfile
from pathlib import Path

from nava.runtime.errors import InputError


def require_new(*paths: Path) -> None:
    """Refuse outputs that cannot be made. Nothing is left behind by asking.

    Args:
        paths: files or folders that a command is about to write.

    Raises:
        InputError: one exists, two are the same, or nothing can be written where one goes.
    """
    seen: set[Path] = set()
    for path in paths:
        try:
            taken = path.exists() or path.is_symlink()
            place = path.resolve()
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path} cannot be written: {error}") from error
        if taken:
            raise InputError(f"{path} exists already: give another name, or remove it")
        if place in seen:
            raise InputError(f"{path} is named for two outputs: give each a name of its own")
        seen.add(place)
        require_writable(path)


def require_writable(path: Path) -> None:
    """Refuse a path whose folder is not writable, or cannot be made.

    Raises:
        InputError: a file stands where a folder must be, or the folder refuses new files.
    """
    try:
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        # A file without a name: what the rights say is not all that can forbid it (read-only disks, for instance).
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be written: {folder}: {error.strerror}") from error
