"""Checkpoints in a bucket: what is complete here goes there too, and comes from there where this disk is new."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from nava.artifacts.checkpoint import (
    MANIFEST_FILE,
    CheckpointDamagedError,
    CheckpointManifest,
    kept_checkpoints,
    part_of,
    publish,
    read_manifest,
    verify,
)
from nava.artifacts.store_faults import patiently, store_errors

_PREFIX = "step-"


class BucketMirror:
    """Copies of a stage's checkpoints under an address of their own; one is there once its manifest is.

    The first process alone sends and fetches: it sees all files, and nobody waits for it while training.

    Args:
        address: a folder in a bucket, ``s3://bucket/prefix``, which runs may share.
        name: of the stage and its configuration, the folder in there.
        root: the folder of the checkpoints here.
    """

    def __init__(self, address: str, name: str, root: Path) -> None:
        from fsspec.core import url_to_fs

        self._address, self._root = f"{address.rstrip('/')}/{name}", root
        with store_errors(self._address):
            self._files, self._prefix = url_to_fs(self._address)

    def send(self, folder: Path, keep_last: int, keep_best: int) -> None:
        """Send a complete checkpoint, its manifest last, and remove those there that are not to stay.

        Raises:
            UnavailableError: the store does not answer.
            InputError: it refuses.
        """
        there = f"{self._prefix}/{folder.name}"
        with store_errors(self._address):
            # An older save of that step does not count while its files are replaced.
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{there}/{MANIFEST_FILE}")
            for name in (*sorted(read_manifest(folder).files), MANIFEST_FILE):
                self._files.put_file(str(folder / name), f"{there}/{name}")
            self._prune(keep_last, keep_best)

    def fetch_newer(self, than_step: int) -> str | None:
        """Bring the newest checkpoint whose every file is what was written here, if it is newer than a step.

        Returns:
            The name of its folder, or None.

        Raises:
            UnavailableError: the store does not answer, several times.
            InputError: it cannot be read.
        """
        with store_errors(self._address):
            for there in patiently(self._checkpoints):
                name = there.rpartition("/")[2]
                step = int(name.removeprefix(_PREFIX))
                if step <= than_step:
                    return None
                part = part_of(self._root, step)
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
                try:
                    publish(part, self._fetched(there, part))
                    return name
                except (FileNotFoundError, CheckpointDamagedError):
                    # A save that was cut off has no manifest; what is damaged there stays there.
                    shutil.rmtree(part)
        return None

    def _fetched(self, there: str, part: Path) -> CheckpointManifest:
        self._get(f"{there}/{MANIFEST_FILE}", part / MANIFEST_FILE)
        for file in read_manifest(part).files:
            (part / file).parent.mkdir(parents=True, exist_ok=True)
            self._get(f"{there}/{file}", part / file)
        return verify(part)

    def _get(self, there: str, here: Path) -> None:
        """Copy a file here, patiently; FileNotFoundError if it is not there."""

        def found() -> bool:
            with store_errors(there):
                try:
                    self._files.get_file(there, str(here))
                except FileNotFoundError:
                    return False
            return True

        if not patiently(found):
            raise FileNotFoundError(there)

    def _prune(self, keep_last: int, keep_best: int) -> None:
        """By the manifests that are there; a folder without one is of a save that was cut off."""
        losses: dict[str, float | None] = {}
        for there in self._checkpoints():
            local = self._root / ".part-manifest"
            try:
                local.mkdir(exist_ok=True)
                self._files.get_file(f"{there}/{MANIFEST_FILE}", str(local / MANIFEST_FILE))
                losses[there] = read_manifest(local).validation_loss
            except (FileNotFoundError, CheckpointDamagedError):
                continue
            finally:
                shutil.rmtree(local, ignore_errors=True)
        for there in set(losses) - kept_checkpoints(losses, keep_last, keep_best):
            self._files.rm_file(f"{there}/{MANIFEST_FILE}")
            self._files.rm(there, recursive=True)

    def _checkpoints(self) -> list[str]:
        """Paths of the folders of checkpoints, newest first."""
        with store_errors(self._address):
            self._files.invalidate_cache()
            try:
                found: list[Any] = list(self._files.ls(self._prefix, detail=False))
            except FileNotFoundError:
                return []
        paths = [str(entry).rstrip("/") for entry in found]
        return sorted((path for path in paths if path.rpartition("/")[2].startswith(_PREFIX)), reverse=True)
