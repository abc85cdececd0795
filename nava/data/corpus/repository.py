"""The corpus repository: git for what a version is, DVC for its media. It never touches the repository of the project.

Every change happens under a lock of its own and in an order that a kill cannot break: media to the cache and the
remote, then the commit, then the tag. What has no tag is no version, and the next attempt finds and finishes it.
"""

from __future__ import annotations

import fcntl
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from nava.artifacts.clip_manifest import MANIFEST_NAME
from nava.artifacts.corpus_version import RECORD_NAME, CorpusVersion, parse_corpus_version, read_corpus_version
from nava.artifacts.media_shard import INDEX_NAME, SHARDS_DIR, MediaFile, PackedFile, shard_path, write_media_index
from nava.config.corpus import CorpusConfig
from nava.data.corpus.content import CorpusContent, sources_table
from nava.data.corpus.dvc_store import CONFIG_FILES, TRACKED_FILE, DvcStore, quiet
from nava.data.corpus.forget_list import LIST_NAME, ForgetList
from nava.data.corpus.history import VersionHistory
from nava.data.corpus.packing import OpenMedia, PackingPlan, as_media, plan_shards, write_shard
from nava.data.corpus.snapshot import OTHERS_NAME, SOURCES_NAME, CorpusSnapshot, open_snapshot, read_purged, table_bytes
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.storage import atomic_folder, write_bytes, write_json

CHECKOUTS_DIR = "corpus-checkouts"
_COMMITTED = (TRACKED_FILE, RECORD_NAME, LIST_NAME, *CONFIG_FILES)
_MEGABYTE = 1_000_000
_ATTEMPTS = 10

T = TypeVar("T")

# Opens a file that no version has yet.
OpenFile = Callable[[MediaFile], BinaryIO]


class _OvertakenError(Exception):
    """Another machine's change reached the shared git repository first."""


class CorpusRepository:
    """A corpus repository in `folder`; made when it is first published to."""

    def __init__(self, folder: Path, config: CorpusConfig) -> None:
        # git and DVC see paths from places of their own.
        folder = folder.resolve()
        self.folder = folder
        self.config = config
        self.store = DvcStore(folder, config.remote_url, config.remote_endpoint_url)
        # Of the configuration, never of the user's own git.
        self.history = VersionHistory(folder, f"{config.author_name} <{config.author_email}>")

    @property
    def remote_url(self) -> str:
        """Where DVC keeps the media: as configured, or a folder beside the repository."""
        return self.store.remote_url

    def publish(
        self,
        clips: Path,
        *,
        recipe: str = "",
        config_sha256: str = "",
        clips_sha256: str = "",
        verdict_sha256: str = "",
    ) -> CorpusVersion:
        """Make the kept clips of a curated folder a version, or return the version that already holds the same.

        The repository keeps the facts that a version was committed with; what is returned carries those of this folder,
        since the same clips may come out of another curation.

        Args:
            clips: folder of `clips.parquet` and the files it names; it is not changed.
            recipe: name of the recipe that curated it.
            config_sha256: hash of the recipe's resolved settings.
            clips_sha256: hash of the folder, where a step has it.
            verdict_sha256: hash of the gate's verdict.

        Raises:
            InputError: a file is missing or is not what the manifest says; the remote cannot be written; or the clips
                hold a source that was forgotten and the configuration says to refuse it.
        """
        given = {
            "recipe": recipe,
            "config_sha256": config_sha256,
            "clips_sha256": clips_sha256,
            "verdict_sha256": verdict_sha256,
        }
        return self.retried(lambda: self._publish(clips, given))

    def _publish(self, clips: Path, given: dict[str, str]) -> CorpusVersion:
        with self.changing() as parent:
            content = CorpusContent.of_folder(clips, parent.media_by_path if parent else {})
            forgotten = self.forget_list().covered(content.sources())
            if forgotten and self.config.on_forgotten == "refuse":
                raise InputError(
                    f"{clips} holds sources that this corpus must not hold any more: {', '.join(forgotten[:5])}. Take "
                    "them out, or set corpus.on_forgotten=drop to publish the others."
                )
            content = content.without(forgotten)
            facts = {**given, **content.facts(), "forgotten": forgotten}
            found = self.version_with(content.sha256)
            if found is not None:
                return replace(found, **facts)

            def open_file(item: MediaFile) -> BinaryIO:
                return (clips / item.path).open("rb")

            return self.commit(content, parent, facts, open_file)

    def versions(self) -> list[CorpusVersion]:
        """All versions, oldest first."""
        if not self.store.is_initialized():
            return []
        return [self._version(tag, commit) for tag, commit in self.history.tags().items()]

    def version_with(self, content_sha256: str) -> CorpusVersion | None:
        """The newest version of this content, or None."""
        versions = [version for version in self.versions() if version.content_sha256 == content_sha256]
        return versions[-1] if versions else self.finish_killed(content_sha256)

    def finish_killed(self, content_sha256: str) -> CorpusVersion | None:
        """A commit of this content that was killed before its tag becomes the version it was meant to be."""
        head = self.history.head()
        # A commit that changes nothing but a list has no tag either, and repeats the record of the version before.
        if head is None or head in self.history.tags().values() or self._repeats_record(head):
            return None
        if self._version("", head).content_sha256 != content_sha256:
            return None
        return self._tag(head)

    def forget_list(self) -> ForgetList:
        """Which sources may be in no version any more."""
        head = self.history.head()
        return ForgetList.parse(self.history.read(head, LIST_NAME) if head else None)

    def purged(self) -> dict[str, list[str]]:
        """The versions whose clips were deleted, with DVC's hashes of what was deleted."""
        return read_purged(str(self.folder))

    def export(self, version: CorpusVersion, target: Path) -> Path:
        """The clips of a version as a folder: from DVC's cache, or from the remote what the cache lacks.

        Raises:
            InputError: neither has them, or what came is not what was committed.
        """
        with self._locked(), open_snapshot(self.folder, version.git_revision) as snapshot:
            snapshot.unpack(target)
        return target

    def retried(self, change: Callable[[], T]) -> T:
        """Make a change again, from what is there by then, when another machine's reached the git repository first."""
        for _ in range(_ATTEMPTS):
            try:
                return change()
            except _OvertakenError:
                continue
        raise InputError(f"others kept publishing to {self.config.git_url} during {_ATTEMPTS} attempts; try again")

    @contextmanager
    def changing(self) -> Iterator[CorpusSnapshot | None]:
        """The newest version, while nobody else changes the repository; it is made if it is not there."""
        with self._locked(), quiet(), ExitStack() as stack:
            self._ensure()
            versions = self.versions()
            newest = versions[-1].git_revision if versions else None
            yield stack.enter_context(open_snapshot(self.folder, newest)) if newest else None

    def commit(
        self,
        content: CorpusContent,
        parent: CorpusSnapshot | None,
        facts: dict[str, Any],
        open_file: OpenFile | None = None,
        forget_list: ForgetList | None = None,
    ) -> CorpusVersion:
        """Make a version; only while `changing`.

        Args:
            content: what it holds.
            parent: the newest version; what it holds already is not read again.
            facts: the other fields of its record.
            open_file: opens a file that the parent does not have.
            forget_list: the forget list from this version on, if it changes.
        """
        plan = plan_shards(content.media, parent.media if parent else [], self.config.shard_mb * _MEGABYTE)
        self._write(content, plan, _opener(parent, open_file))
        self.history.restore(parent.version.git_revision if parent else None, TRACKED_FILE)
        before = {item.shard for item in parent.media} if parent else set()
        md5 = self.store.track(shard_path(shard) for shard in sorted(before - {item.shard for item in plan.kept}))
        self.store.push()
        record = CorpusVersion(
            version=self._next_tag(),
            parent=parent.version.version if parent else "",
            content_sha256=content.sha256,
            dvc_md5=md5,
            git_revision="",
            repository="",
            remote_url=self.config.remote_url,
            git_url=self.config.git_url,
            media=_media_counts(plan),
            **facts,
        )
        write_json(self.folder / RECORD_NAME, asdict(record))
        if forget_list is None:
            self.history.restore(self.history.head(), LIST_NAME)
        else:
            forget_list.write(self.folder)
        what = record.reason or f"{record.counts['kept']} clips"
        commit = self.history.commit(
            _COMMITTED, f"Corpus {record.version}: {what}\n\ncontent {record.content_sha256}\n"
        )
        version = self._tag(commit)
        self.store.clear_working_copy()
        return version

    def commit_list(self, name: str, message: str) -> None:
        """Commit a list of the repository (what is forgotten, what is purged), which makes no version."""
        self.history.commit([name], f"{message}\n")
        self._share()

    def _share(self, tag: str = "") -> None:
        if self.config.git_url and not self.history.share(self.config.git_url, tag):
            raise _OvertakenError

    def _write(self, content: CorpusContent, plan: PackingPlan, open_media: OpenMedia) -> None:
        """Put into the working copy what the version adds, and nothing else; finished shards are found again."""
        folder = self.store.working_copy
        planned = {shard_path(files[0].shard) for files in plan.new}
        for left in [path for path in folder.rglob("*") if path.is_file()]:
            if left.relative_to(folder).as_posix() not in planned:
                left.unlink()
        for files in plan.new:
            write_shard(folder / SHARDS_DIR, files, open_media)
        index = io.BytesIO()
        write_media_index(index, plan.files)
        write_bytes(folder / INDEX_NAME, index.getvalue())
        write_bytes(folder / SOURCES_NAME, table_bytes(sources_table(content.sources())))
        write_bytes(folder / OTHERS_NAME, table_bytes(content.others))
        write_bytes(folder / MANIFEST_NAME, content.manifest_bytes)

    def _repeats_record(self, commit: str) -> bool:
        record = self.history.read(commit, RECORD_NAME)
        return record is None or any(
            self.history.read(tagged, RECORD_NAME) == record for tagged in self.history.tags().values()
        )

    def _next_tag(self) -> str:
        return f"v{len(self.history.tags()) + 1}"

    def _tag(self, commit: str) -> CorpusVersion:
        """The tag is the last word: it says that media, record and commit are there."""
        tag = self._next_tag()
        self._share(tag)
        self.history.tag(tag, commit)
        return self._version(tag, commit)

    def _version(self, tag: str, commit: str) -> CorpusVersion:
        text = self.history.read(commit, RECORD_NAME)
        if text is None:
            raise InputError(f"{self.folder} is no corpus repository: {tag or commit} has no {RECORD_NAME}")
        return parse_corpus_version(
            text, version=tag, git_revision=commit, repository=str(self.folder), remote_url=self.remote_url
        )

    def _ensure(self) -> None:
        """The repository, complete: made aside and moved into place."""
        if not self.store.is_initialized():
            with atomic_folder(self.folder) as folder:
                VersionHistory(folder, "").initialize()
                DvcStore(folder).initialize()
        self.history.remove_stale_locks()
        if self.config.git_url:
            self.history.follow(self.config.git_url)
            self.store.delete_cached(md5 for objects in self.purged().values() for md5 in objects)
        if self.store.is_moving():
            self.store.move(self._all_objects())
            self.store.configure()
            self.commit_list(".dvc/config", f"Remote {self.remote_url}")
        else:
            self.store.configure()

    def _all_objects(self) -> set[str]:
        """DVC's hashes of everything that a version has, but for what was purged."""
        objects: set[str] = set()
        purged = self.purged()
        for version in self.versions():
            if version.version not in purged:
                with open_snapshot(self.folder, version.git_revision) as snapshot:
                    objects |= set(snapshot.hashes().values())
        return objects

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_name(f".{self.folder.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def publish(
    repository: str | Path,
    clips: str | Path,
    config: CorpusConfig | None = None,
    *,
    recipe: str = "",
    config_sha256: str = "",
) -> CorpusVersion:
    """Make a curated folder a version of the repository in a folder; what `nava data version` calls.

    Raises:
        InputError: see `CorpusRepository.publish`.
    """
    return CorpusRepository(Path(repository), config or CorpusConfig()).publish(
        Path(clips), recipe=recipe, config_sha256=config_sha256
    )


def checkout(handle: Handle) -> Path:
    """The folder with `clips.parquet` and `media/` of a corpus version; fetched once, then reused.

    Where the repository's folder is not on this machine, as in a pod, the clips come from its git address.

    Raises:
        InputError: the repository is gone, or neither it nor its remote has the media.
    """
    version = read_corpus_version(handle)
    folder = Path(version.repository)
    target = folder.with_name(CHECKOUTS_DIR) / version.content_sha256[:16]
    if (target / MANIFEST_NAME).is_file():
        return target
    repository = CorpusRepository(folder, CorpusConfig(remote_url=version.remote_url))
    if not repository.store.is_initialized():
        if version.git_url:
            with open_snapshot(version.git_url, version.git_revision) as snapshot:
                snapshot.unpack(target)
            return target
        raise InputError(
            f"the corpus repository {folder} of corpus {version.version} is gone; run the step 'version' again"
        )
    return repository.export(version, target)


def _opener(parent: CorpusSnapshot | None, open_file: OpenFile | None) -> OpenMedia:
    """Opens a file where it is: in a shard of the parent, or as a file."""
    packed: dict[str, PackedFile] = parent.media_by_path if parent else {}

    def open_media(item: MediaFile) -> BinaryIO:
        old = packed.get(item.path)
        if parent is not None and old is not None and as_media(old) == as_media(item):
            return io.BytesIO(parent.read(item.path))
        assert open_file is not None, f"{item.path} is in no version"
        return open_file(item)

    return open_media


def _media_counts(plan: PackingPlan) -> dict[str, int]:
    files = plan.files
    return {
        "files": len(files),
        "bytes": sum(item.size_bytes for item in files),
        "shards": len({item.shard for item in files}),
        "new_shards": len(plan.new),
    }
