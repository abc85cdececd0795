"""The DVC side of a corpus repository: the cache, the remote, and the folder that DVC tracks.

The working copy of that folder holds only what the next version adds: DVC knows the rest by hash, so neither a new
version nor a reader needs the shards of the old ones on this machine.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read by DVC when it is imported: nothing may phone home.
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

from nava.runtime.errors import InputError

CLIPS_DIR = "clips"
TRACKED_FILE = f"{CLIPS_DIR}.dvc"
CONFIG_FILES = (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore")
_CONFIG = Path(".dvc/config")
_REMOTE = "storage"


class DvcStore:
    """DVC in the repository in `folder`.

    Args:
        folder: the repository; `git init` comes before `initialize`.
        remote_url: where the shards are pushed; empty for the folder `<folder>-remote` beside the repository.
        endpoint_url: of an S3 service that is not AWS.
    """

    def __init__(self, folder: Path, remote_url: str = "", endpoint_url: str = "") -> None:
        self.folder = folder
        self._configured_url, self._endpoint_url = remote_url, endpoint_url

    @property
    def working_copy(self) -> Path:
        """The tracked folder: what a version adds is put here before `track`."""
        return self.folder / CLIPS_DIR

    @property
    def remote_url(self) -> str:
        """Where the shards are pushed."""
        return self._configured_url or str(self.folder.with_name(f"{self.folder.name}-remote"))

    def is_initialized(self) -> bool:
        """Whether the repository is complete."""
        return (self.folder / _CONFIG).is_file()

    def initialize(self) -> None:
        """Make a git repository one of DVC."""
        from dvc.repo import Repo

        with quiet():
            Repo.init(str(self.folder)).close()

    def configure(self) -> None:
        """Write the remote into DVC's settings."""
        from dvc.repo import Repo

        with Repo(str(self.folder)) as dvc, dvc.config.edit("repo") as config:
            config["core"] = {"analytics": False, "autostage": False, "check_update": False, "remote": _REMOTE}
            config["cache"] = {"type": "reflink,hardlink,copy"}
            config["remote"] = {_REMOTE: self._remote()}

    def is_moving(self) -> bool:
        """Whether DVC's settings name another remote than the one that is wanted."""
        from dvc.repo import Repo

        with Repo(str(self.folder)) as dvc:
            before = dvc.config.get("remote", {}).get(_REMOTE, {}).get("url")
        return before is not None and str(before) not in (self.remote_url, str(Path(self.remote_url).absolute()))

    def move(self, hashes: Iterable[str]) -> None:
        """Copy objects, named by DVC's hash, from the remote in DVC's settings to the one that is wanted.

        Raises:
            InputError: the old remote and the cache lack something, or the new one cannot be written.
        """
        from dvc.repo import Repo
        from dvc_data.hashfile.hash_info import HashInfo

        wanted = [HashInfo("md5", md5) for md5 in sorted(set(hashes))]
        settings = remote_settings(str(self.remote_url), self._endpoint_url)
        with self._told():
            with Repo(str(self.folder)) as dvc:
                lacking = dvc.cloud.pull(wanted).failed
            with Repo(str(self.folder), config=settings) as dvc:
                lacking |= dvc.cloud.push(wanted).failed
        if lacking:
            raise InputError(
                f"{len(lacking)} objects of old versions could not be copied to the new corpus remote "
                f"{self.remote_url}; make the old remote reachable, or copy its objects and try again"
            )

    def track(self, removed: Iterable[str]) -> str:
        """Track what the working copy adds or changes and no longer track `removed`; returns DVC's hash of the whole.

        Args:
            removed: paths relative to the tracked folder.
        """
        from dvc.repo import Repo

        folder = self.working_copy
        if (self.folder / TRACKED_FILE).is_file():
            added = sorted(path for path in folder.rglob("*") if path.is_file())
            targets = [str(path) for path in (*added, *(folder / name for name in removed))]
        else:
            targets = [str(folder)]
        with quiet(), Repo(str(self.folder)) as dvc:
            stage = dvc.add(targets)[0]
            return str(stage.outs[0].hash_info.value)

    def push(self) -> None:
        """Copy to the remote what it lacks of the tracked folder.

        Raises:
            InputError: the remote cannot be written.
        """
        from dvc.repo import Repo

        with self._told(), quiet(), Repo(str(self.folder)) as dvc:
            dvc.push()

    def clear_working_copy(self) -> None:
        """Remove the working copy; cache and remote have it."""
        shutil.rmtree(self.working_copy, ignore_errors=True)

    def delete(self, hashes: Iterable[str]) -> None:
        """Delete objects from the remote and then from the cache, where they are there."""
        from dvc.repo import Repo

        hashes = list(hashes)
        with self._told(), Repo(str(self.folder)) as dvc:
            remote = dvc.cloud.get_remote_odb(_REMOTE)
            for md5 in hashes:
                if remote.exists(md5):
                    remote.delete(md5)
        self.delete_cached(hashes)

    def delete_cached(self, hashes: Iterable[str]) -> None:
        """Delete objects from the cache of this machine, where they are there."""
        from dvc.repo import Repo

        with Repo(str(self.folder)) as dvc:
            for md5 in hashes:
                if dvc.cache.local.exists(md5):
                    dvc.cache.local.delete(md5)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """One message for whatever DVC and the remote's file system raise."""
        from dvc.exceptions import DvcException

        try:
            yield
        except (DvcException, OSError) as error:
            raise InputError(
                f"the corpus remote {self.remote_url} cannot be written: {error}. Check corpus.remote_url, "
                "corpus.remote_endpoint_url and the credentials in the environment (AWS_ACCESS_KEY_ID or AWS_PROFILE)."
            ) from error

    def _remote(self) -> dict[str, str]:
        remote = {"url": self.remote_url}
        if not self._configured_url:
            # Relative to the configuration file, so that a moved run still finds it and commits do not name this
            # machine.
            remote["url"] = os.path.relpath(self.remote_url)
        if self._endpoint_url:
            remote["endpointurl"] = self._endpoint_url
        return remote


def remote_settings(url: str, endpoint_url: str = "") -> dict[str, Any]:
    """DVC settings that put another remote in the place of the committed one, for a reader; written nowhere."""
    if not url and not endpoint_url:
        return {}
    remote = {name: value for name, value in (("url", url), ("endpointurl", endpoint_url)) if value}
    return {"core": {"remote": _REMOTE}, "remote": {_REMOTE: remote}}


@contextmanager
def quiet() -> Iterator[None]:
    """DVC logs advice for people at a shell, which would only mislead in a step's log."""
    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
