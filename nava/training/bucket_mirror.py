"""Checkpoints in a bucket: what is written here goes there too, and comes from there where this disk is new."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nava.artifacts.bucket_files import store_errors
from nava.artifacts.checkpoint import (
    MANIFEST_FILE,
    CheckpointDamagedError,
    CheckpointManifest,
    complete_folders,
    part_of,
    publish,
    read_manifest,
)


class BucketMirror:
    """Copies of a stage's checkpoints under an address; one is there once its manifest is.

    Args:
        address: a folder in a bucket, ``s3://bucket/prefix``.
        root: the folder of the checkpoints here.
    """

    def __init__(self, address: str, root: Path) -> None:
        from fsspec.core import url_to_fs

        self._address, self._root = address.rstrip("/"), root
        with store_errors(address):
            self._files, self._prefix = url_to_fs(self._address)

    def upload(self, path: Path, step: int) -> None:
        """Send a file of the checkpoint of a step."""
        with store_errors(self._address):
            self._files.put_file(str(path), f"{self._prefix}/step-{step:08d}/{path.name}")

    def complete(self, folder: Path, manifest: CheckpointManifest) -> None:
        """Send what is not there yet, the manifest last."""
        there = f"{self._prefix}/{folder.name}"
        with store_errors(self._address):
            self._files.invalidate_cache()
            sent = {entry.rpartition("/")[2] for entry in self._listed(there)}
            for name in (*sorted(set(manifest.files) - sent), MANIFEST_FILE):
                self._files.put_file(str(folder / name), f"{there}/{name}")

    def prune(self, kept: set[str]) -> None:
        """Remove the checkpoints that are not kept; the manifest of each first."""
        with store_errors(self._address):
            for there in self._checkpoints():
                if there.rpartition("/")[2] not in kept:
                    with suppress(FileNotFoundError):
                        self._files.rm_file(f"{there}/{MANIFEST_FILE}")
                    self._files.rm(there, recursive=True)

    def fetch_newest(self, config_hash: str, log: Callable[[str], None]) -> None:
        """Bring the newest complete checkpoint of a configuration here if this disk has none as new."""
        here = {folder.name for folder in complete_folders(self._root)}
        with store_errors(self._address):
            for there in self._checkpoints():
                name = there.rpartition("/")[2]
                if name in here:
                    return
                if self._fetch(there, name, config_hash):
                    log(f"checkpoint {name} was fetched from {self._address}")
                    return

    def _fetch(self, there: str, name: str, config_hash: str) -> bool:
        part = part_of(self._root, int(name.removeprefix("step-")))
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            self._files.get_file(f"{there}/{MANIFEST_FILE}", str(part / MANIFEST_FILE))
            manifest = read_manifest(part)
        except (FileNotFoundError, CheckpointDamagedError):
            # A save that was cut off has no manifest.
            shutil.rmtree(part)
            return False
        if manifest.config_hash != config_hash:
            shutil.rmtree(part)
            return False
        for file in manifest.files:
            (part / file).parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(f"{there}/{file}", str(part / file))
        publish(part, manifest)
        return True

    def _checkpoints(self) -> list[str]:
        """Paths of the folders of checkpoints, newest first."""
        self._files.invalidate_cache()
        found = [entry.rstrip("/") for entry in self._listed(self._prefix)]
        return sorted((entry for entry in found if entry.rpartition("/")[2].startswith("step-")), reverse=True)

    def _listed(self, path: str) -> list[Any]:
        try:
            return list(self._files.ls(path, detail=False))
        except FileNotFoundError:
            return []
