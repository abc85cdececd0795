"""Every entry of a media folder, with the reason for what is neither media nor a transcript."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason
from nava.data.sources.candidates import MediaScan, sort_names


def scan_folder(root: Path) -> MediaScan:
    """Walk a folder and sort every entry by kind.

    The order does not depend on the file system. Symlinks to folders, and those that lead out, are not followed.
    """
    names, ignored = [], []
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        reason = _reason_to_ignore(path, root)
        if reason is None:
            names.append(name)
        else:
            ignored.append(IgnoredFile(_printable(name), reason))
    return sort_names(names, ignored)


def _walk(folder: Path) -> Iterator[Path]:
    """Every entry below a folder that is no folder itself, and every symlink; hidden folders count as one entry."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except PermissionError:
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def _reason_to_ignore(path: Path, root: Path) -> IgnoreReason | None:
    """Why an entry cannot be used whatever its extension, or None; the first reason in this order."""
    if path.name.startswith("."):
        return IgnoreReason.HIDDEN
    if not _is_utf8(path.name) or not _is_utf8(str(path.relative_to(root))):
        return IgnoreReason.NAME_NOT_UTF8
    if path.is_symlink() and (reason := _reason_against_link(path, root)) is not None:
        return reason
    # Opening a pipe would wait for ever.
    if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        return IgnoreReason.NOT_A_REGULAR_FILE
    if not os.access(path, os.R_OK) or path.is_dir():
        return IgnoreReason.NOT_READABLE
    return None


def _reason_against_link(path: Path, root: Path) -> IgnoreReason | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # dangling, or a loop
        return IgnoreReason.SYMLINK_BROKEN
    if not target.is_relative_to(root):
        return IgnoreReason.SYMLINK_OUTSIDE
    return IgnoreReason.SYMLINK_TO_FOLDER if target.is_dir() else None


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
