"""Checkpoint: a folder whose manifest is written last. Without a manifest that verifies, it does not exist.

What writes the files (DeepSpeed's own save is not crash-safe) writes into a temporary folder; every file is hashed and
flushed to disk, then the manifest, then the folder gets its name. A reader takes the newest that verifies.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from nava.runtime.errors import NavaError, UnavailableError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
Place = TypeVar("Place", Path, str)
# Of the manifest itself, in it.
_CHECKSUM = "checksum"
_PREFIX = "step-"
_PART_PREFIX = ".part-"
_REJECTED_PREFIX = ".rejected-"


@dataclass(frozen=True)
class FileRecord:
    """A file of a checkpoint: size and content."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class CheckpointManifest:
    """What a checkpoint holds and where training stood.

    Attributes:
        stage: the training stage, 1 to 3.
        step: optimizer steps done in the stage.
        samples: clips seen in the stage.
        config_hash: hash of everything that decides the result; a checkpoint of another configuration is not resumed.
        rng: what the random draws of the next steps derive from.
        files: by relative path, every file but the manifest.
        validation_loss: of the averaged weights, if they were validated at this step.
    """

    stage: int
    step: int
    samples: int
    config_hash: str
    rng: dict[str, Any]
    files: dict[str, FileRecord] = field(default_factory=dict)
    validation_loss: float | None = None
    schema_version: int = SCHEMA_VERSION


class CheckpointDamagedError(NavaError):
    """A checkpoint that must not be used, and why."""


def part_of(root: Path, step: int) -> Path:
    """Where several processes write one checkpoint together, until it is published."""
    return root / f"{_PART_PREFIX}{step:08d}"


def checkpoint_name(step: int) -> str:
    """The folder of the checkpoint of a step."""
    return f"{_PREFIX}{step:08d}"


def publish(part: Path, manifest: CheckpointManifest) -> Path:
    """Give a sealed folder its name beside it; what had that name is removed."""
    target = part.with_name(checkpoint_name(manifest.step))
    if target.exists():
        shutil.rmtree(target)
    part.rename(target)
    _fsync(part.parent)
    return target


def prune(root: Path, keep_last: int, keep_best: int = 0) -> None:
    """Remove all checkpoints under `root` but the newest, and those of the lowest validation losses.

    Args:
        root: folder of the stage's checkpoints.
        keep_last: how many of the newest stay, at least 1.
        keep_best: how many of the best stay besides.
    """
    folders = complete_folders(root)
    if len(folders) <= max(1, keep_last):
        return
    losses = {folder: _validation_loss(folder) if keep_best else None for folder in folders}
    for old in set(folders) - kept_checkpoints(losses, keep_last, keep_best):
        shutil.rmtree(old)


def kept_checkpoints(losses: Mapping[Place, float | None], keep_last: int, keep_best: int) -> set[Place]:
    """Which checkpoints stay, of all there are with their validation losses: see `prune`. Names sort by their step."""
    kept = set(sorted(losses, reverse=True)[: max(1, keep_last)])
    judged = [(loss, place) for place, loss in losses.items() if loss is not None]
    return kept | {place for _, place in sorted(judged)[:keep_best]}


def record_file(path: Path) -> FileRecord:
    """Flush a file to disk, and its size and hash."""
    _fsync(path)
    return FileRecord(path.stat().st_size, sha256_file(path))


def seal(
    folder: Path, manifest: CheckpointManifest, known: Mapping[str, FileRecord] | None = None
) -> CheckpointManifest:
    """Hash every file under `folder`, flush all to disk, and write the manifest last.

    Args:
        folder: of the checkpoint.
        manifest: `files` is filled in here.
        known: files that whoever wrote them has flushed and hashed.
    """
    files = dict(known or {})
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files:
            files[name] = record_file(path)
        elif path.is_dir():
            _fsync(path)
    _fsync(folder)
    sealed = replace(manifest, files=files)
    value = asdict(sealed)
    write_json(folder / MANIFEST_FILE, value | {_CHECKSUM: sha256_json(value)})
    return sealed


def remove_parts(root: Path) -> None:
    """Remove what saves that were killed left behind."""
    for part in root.glob(f"{_PART_PREFIX}*"):
        shutil.rmtree(part, ignore_errors=True)


def verify(folder: Path, share: int = 0, shares: int = 1) -> CheckpointManifest:
    """Read the manifest and check files against it.

    Args:
        folder: of the checkpoint.
        share, shares: which part of the files to check; several processes divide the work.

    Raises:
        CheckpointDamagedError: the manifest or a file is missing, of another version, or changed.
        UnavailableError: the disk does not give it out, which says nothing of what is on it.
    """
    manifest = read_manifest(folder)
    for name, record in sorted(manifest.files.items())[share::shares]:
        with _readable(folder / name):
            _verify_file(folder / name, name, record)
    return manifest


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror or error}") from error


def _verify_file(path: Path, name: str, record: FileRecord) -> None:
    if not path.is_file():
        raise CheckpointDamagedError(f"file {name} is missing")
    if path.stat().st_size != record.size_bytes:
        raise CheckpointDamagedError(f"file {name} has {path.stat().st_size} bytes instead of {record.size_bytes}")
    if sha256_file(path) != record.sha256:
        raise CheckpointDamagedError(f"file {name} is not what was written (its sha256 differs)")


def reject(folder: Path) -> None:
    """Put a checkpoint that must not be used aside: it neither counts as the newest nor is taken for a result.

    Of all that were, that of the latest step stays to be looked into: several of a large model would fill a disk.
    """
    target = folder.with_name(f"{_REJECTED_PREFIX}{folder.name}")
    if target.exists():
        shutil.rmtree(target)
    folder.rename(target)
    for older in sorted(folder.parent.glob(f"{_REJECTED_PREFIX}*"))[:-1]:
        shutil.rmtree(older)


def read_manifest(folder: Path) -> CheckpointManifest:
    """Read a checkpoint's manifest without checking the files.

    Raises:
        CheckpointDamagedError: missing, changed or of another version.
        UnavailableError: the disk does not give it out.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise CheckpointDamagedError(f"{MANIFEST_FILE} is missing, so the save did not finish")
    try:
        with _readable(path):
            value = read_json(path)
        checksum, version = value.pop(_CHECKSUM), value["schema_version"]
        if version != SCHEMA_VERSION:
            raise CheckpointDamagedError(f"{MANIFEST_FILE} has version {version}; this code reads {SCHEMA_VERSION}")
        if checksum != sha256_json(value):
            raise CheckpointDamagedError(f"{MANIFEST_FILE} is not what was written (its checksum differs)")
        value["files"] = {_checked_name(name): FileRecord(**record) for name, record in value["files"].items()}
        return CheckpointManifest(**value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointDamagedError(f"{MANIFEST_FILE} cannot be read ({error})") from error


def _checked_name(name: str) -> str:
    """A relative path that stays inside the folder."""
    if name.startswith("/") or ".." in Path(name).parts:
        raise ValueError(f"path {name} leads outside")
    return name


def _validation_loss(folder: Path) -> float | None:
    try:
        return read_manifest(folder).validation_loss
    except (CheckpointDamagedError, UnavailableError):
        return None


def complete_folders(root: Path) -> list[Path]:
    """Folders of checkpoints, newest step first; what is in them is not looked at."""
    return sorted((path for path in root.glob(f"{_PREFIX}*") if path.is_dir()), reverse=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
