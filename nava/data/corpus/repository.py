"""The corpus repository: git for what a version is, DVC for its media. It never touches the repository of the project.

Every change happens under a lock of its own and in an order that a kill cannot break: media to the cache and the
remote, then the commit, then the tag. What has no tag is no version, and the next attempt finds and finishes it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# Read by DVC when it is imported: nothing may phone home.
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

from dulwich import porcelain
from dulwich.object_store import tree_lookup_path
from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo as GitRepo

from nava.artifacts.corpus_version import CorpusVersion, read_corpus_version
from nava.config.corpus import CorpusConfig
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_tree
from nava.runtime.storage import atomic_folder, write_json

CLIPS_DIR = "clips"
RECORD_NAME = "corpus.json"
CHECKOUTS_DIR = "corpus-checkouts"
_REMOTE = "storage"
_TAGS = Ref(b"refs/tags")
_TRACKED = (f"{CLIPS_DIR}.dvc", ".gitignore", RECORD_NAME, ".dvcignore", ".dvc/config", ".dvc/.gitignore")


class CorpusRepository:
    """A corpus repository in `folder`; made when it is first needed."""

    def __init__(self, folder: Path, config: CorpusConfig) -> None:
        self.folder = folder
        self.config = config

    @property
    def remote_url(self) -> str:
        """Where DVC keeps the media: as configured, or a folder beside the repository."""
        return self.config.remote_url or str(self.folder.with_name(f"{self.folder.name}-remote"))

    @property
    def author(self) -> bytes:
        """Who commits: of the configuration, never of the user's own git."""
        return f"{self.config.author_name} <{self.config.author_email}>".encode()

    def publish(self, clips: Path, facts: dict[str, Any]) -> CorpusVersion:
        """Make `clips` (manifest and media) a version, or return the version that already holds the same content.

        The repository keeps the facts that a version was committed with; what is returned carries those given here,
        since the same clips may come out of another curation.

        Args:
            clips: a folder; it is copied.
            facts: what the version's record carries besides (`counts`, `kept_by_split`, hashes of what it came from).
        """
        content = sha256_tree(clips)
        with self._locked():
            self._ensure()
            for version in self.versions():
                if version.content_sha256 == content:
                    return replace(version, **facts)
            if (finished := self._finish_killed(content)) is not None:
                return replace(finished, **facts)
            return self._commit(clips, content, facts)

    def versions(self) -> list[CorpusVersion]:
        """All versions, oldest first."""
        with GitRepo(str(self.folder)) as git:
            tags = {name.decode(): revision for name, revision in git.refs.as_dict(_TAGS).items()}
            ordered = sorted(tags.items(), key=lambda item: int(item[0].removeprefix("v")))
            return [self._version(git, tag, revision) for tag, revision in ordered]

    def export(self, version: CorpusVersion, target: Path) -> Path:
        """The clips of a version as a folder: from DVC's cache, or from the remote what the cache lacks.

        Raises:
            InputError: neither has them, or what came is not what was committed.
        """
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
        from dvc_data.index import DataIndexDirError

        with self._locked(), atomic_folder(target) as folder:
            try:
                DVCFileSystem(url=str(self.folder), rev=version.git_revision).get(
                    f"/{CLIPS_DIR}", str(folder / CLIPS_DIR), recursive=True
                )
            except (DvcException, DataIndexDirError, OSError) as error:
                raise InputError(self._unavailable(version, str(error))) from error
            _move_up(folder / CLIPS_DIR)
            found = sha256_tree(folder)
            if found != version.content_sha256:
                raise InputError(self._unavailable(version, f"the content hashes to {found[:12]}"))
        return target

    def _commit(self, clips: Path, content: str, facts: dict[str, Any]) -> CorpusVersion:
        from dvc.repo import Repo

        known = self.versions()
        tag, parent = f"v{len(known) + 1}", known[-1].version if known else ""
        with atomic_folder(self.folder / CLIPS_DIR) as folder:
            shutil.copytree(clips, folder, dirs_exist_ok=True)
        with _quiet(), Repo(str(self.folder)) as dvc:
            stage = dvc.add([str(self.folder / CLIPS_DIR)])[0]
            md5 = str(stage.outs[0].hash_info.value)
            dvc.push()
        record = CorpusVersion(
            tag, parent, content, md5, git_revision="", repository="", remote_url=self.config.remote_url, **facts
        )
        write_json(self.folder / RECORD_NAME, asdict(record))
        with GitRepo(str(self.folder)) as git:
            porcelain.add(git, paths=[str(self.folder / name) for name in _TRACKED])
            message = f"Corpus {tag}: {facts['counts']['kept']} clips\n\ncontent {content}\n"
            porcelain.commit(git, message=message.encode(), author=self.author, committer=self.author, sign=False)
            return self._tag(git, tag)

    def _finish_killed(self, content: str) -> CorpusVersion | None:
        """A commit of this content that was killed before its tag becomes the version it was meant to be."""
        with GitRepo(str(self.folder)) as git:
            _, head = git.refs.follow(HEADREF)
            # In a new repository HEAD names a branch that has no commit yet.
            if head is None or head in git.refs.as_dict(_TAGS).values():
                return None
            pending = self._version(git, "", head)
            if pending.content_sha256 != content:
                return None
            return self._tag(git, f"v{len(self.versions()) + 1}")

    def _tag(self, git: GitRepo, tag: str) -> CorpusVersion:
        """The tag is the last word: it says that media, record and commit are there."""
        git.refs[Ref(b"refs/tags/" + tag.encode())] = git.head()
        return self._version(git, tag, git.head())

    def _version(self, git: GitRepo, tag: str, revision: bytes) -> CorpusVersion:
        _, blob = tree_lookup_path(git.__getitem__, git[revision].tree, RECORD_NAME.encode())  # type: ignore[attr-defined]
        record = json.loads(git[blob].as_raw_string())
        place = {"git_revision": revision.decode(), "repository": str(self.folder), "remote_url": self.remote_url}
        return CorpusVersion(**{**record, **place, "version": tag})

    def _ensure(self) -> None:
        """The repository, complete: made aside and moved into place."""
        from dvc.repo import Repo

        if not (self.folder / ".dvc" / "config").is_file():
            with _quiet(), atomic_folder(self.folder) as folder:
                porcelain.init(str(folder))
                Repo.init(str(folder)).close()
        # A process that was killed inside git leaves its lock; nobody else writes while we hold ours.
        for stale in [*(self.folder / ".git").glob("*.lock"), *(self.folder / ".git" / "refs").rglob("*.lock")]:
            stale.unlink()
        with Repo(str(self.folder)) as dvc, dvc.config.edit("repo") as config:
            config["core"] = {"analytics": False, "autostage": False, "check_update": False, "remote": _REMOTE}
            config["cache"] = {"type": "reflink,hardlink,copy"}
            config["remote"] = {_REMOTE: self._remote()}

    def _remote(self) -> dict[str, str]:
        remote = {"url": self.remote_url}
        if not self.config.remote_url:
            # Relative to the configuration file, so that a moved run still finds it and commits do not name this
            # machine.
            remote["url"] = os.path.relpath(self.remote_url)
        if self.config.remote_endpoint_url:
            remote["endpointurl"] = self.config.remote_endpoint_url
        return remote

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_name(f".{self.folder.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _unavailable(self, version: CorpusVersion, problem: str) -> str:
        return (
            f"corpus {version.version} cannot be checked out from {self.folder} or its remote {self.remote_url}: "
            f"{problem}. Make the remote reachable, or run the step 'version' again."
        )


def checkout(handle: Handle) -> Path:
    """The folder with `clips.parquet` and `media/` of a corpus version; fetched once, then reused.

    Raises:
        InputError: the repository is gone, or neither it nor its remote has the media.
    """
    version = read_corpus_version(handle)
    folder = Path(version.repository)
    target = folder.with_name(CHECKOUTS_DIR) / version.content_sha256[:16]
    if target.is_dir():
        return target
    if not (folder / ".dvc" / "config").is_file():
        raise InputError(
            f"the corpus repository {folder} of corpus {version.version} is gone; run the step 'version' again"
        )
    return CorpusRepository(folder, CorpusConfig()).export(version, target)


@contextmanager
def _quiet() -> Iterator[None]:
    """DVC logs advice for people at a shell, which would only mislead in a step's log."""
    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _move_up(folder: Path) -> None:
    """Moves a folder's content to its parent and removes it."""
    for path in list(folder.iterdir()):
        path.rename(folder.parent / path.name)
    folder.rmdir()
