"""One version of a corpus as it lies in its repository: read by parts, and without a working copy."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from nava.artifacts.clip_manifest import MANIFEST_NAME, SCHEMA
from nava.artifacts.corpus_version import RECORD_NAME, CorpusVersion, parse_corpus_version
from nava.artifacts.media_shard import INDEX_NAME, PackedFile, read_media_index, shard_path
from nava.data.corpus.dvc_store import CLIPS_DIR, quiet, remote_settings
from nava.data.corpus.forget_list import LIST_NAME, ForgetList
from nava.data.corpus.history import VersionHistory, remote_tags
from nava.data.corpus.packing import shards_of
from nava.runtime.errors import InputError
from nava.runtime.hashing import CHUNK_BYTES, sha256_bytes, sha256_file, sha256_listing
from nava.runtime.storage import is_part, write_bytes

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

OTHERS_NAME = "others.parquet"
SOURCES_NAME = "sources.parquet"
PURGED_NAME = "purged.json"
_REVISION = re.compile(r"v[1-9][0-9]*|[0-9a-f]{7,40}")


class CorpusSnapshot:
    """A version, read through DVC from the cache of its repository or from the remote.

    Args:
        filesystem: DVC's file system at the version's commit.
        version: its record.
        place: the repository as the user named it, for messages.
    """

    def __init__(self, filesystem: DVCFileSystem, version: CorpusVersion, place: str) -> None:
        self.version = version
        self._filesystem, self._place = filesystem, place
        self._reader: tuple[str, BinaryIO] | None = None

    @cached_property
    def manifest(self) -> pa.Table:
        """The kept clips."""
        return pq.read_table(io.BytesIO(self._bytes(MANIFEST_NAME)))

    @cached_property
    def others(self) -> pa.Table:
        """The records that curation did not keep, with their reasons."""
        return pq.read_table(io.BytesIO(self._bytes(OTHERS_NAME)))

    @cached_property
    def sources(self) -> pa.Table:
        """The sources: src_id, src_sha256, src_path, licence, origin, and their records by status."""
        return pq.read_table(io.BytesIO(self._bytes(SOURCES_NAME)))

    @cached_property
    def media(self) -> list[PackedFile]:
        """Every clip file and where it lies, by path."""
        return read_media_index(io.BytesIO(self._bytes(INDEX_NAME)))

    @cached_property
    def media_by_path(self) -> dict[str, PackedFile]:
        """The same by path."""
        return {item.path: item for item in self.media}

    def forget_list(self) -> ForgetList:
        """Which sources the repository had to forget by then."""
        with self._told():
            there = self._filesystem.isfile(f"/{LIST_NAME}")
            return ForgetList.parse(self._filesystem.cat_file(f"/{LIST_NAME}") if there else None)

    def read(self, path: str) -> bytes:
        """The bytes of one clip file, without its shard's others.

        Raises:
            InputError: the version has no such file, or its bytes cannot be had or are not what was committed.
        """
        item = self.media_by_path.get(path)
        if item is None:
            raise InputError(f"corpus {self.version.version} has no file {path}")
        with self._told():
            shard = self._reader_of(item.shard)
            shard.seek(item.offset)
            data = shard.read(item.size_bytes)
        if sha256_bytes(data) != item.sha256:
            raise self._unavailable(f"{path} in shard {item.shard[:12]} is not what was committed")
        return data

    def _reader_of(self, shard: str) -> BinaryIO:
        """An open shard, kept for the next file: who reads files one by one mostly reads those of one shard."""
        if self._reader is None or self._reader[0] != shard:
            self.close()
            self._reader = shard, self._filesystem.open(f"/{CLIPS_DIR}/{shard_path(shard)}", "rb")
        return self._reader[1]

    def close(self) -> None:
        """Close what is open."""
        if self._reader is not None:
            self._reader[1].close()
            self._reader = None

    @contextmanager
    def open_shard(self, shard: str) -> Iterator[BinaryIO]:
        """The bytes of a shard, from the cache or the remote."""
        with self._told(), self._filesystem.open(f"/{CLIPS_DIR}/{shard_path(shard)}", "rb") as file:
            yield cast(BinaryIO, file)

    def hashes(self) -> dict[str, str]:
        """What DVC calls each object of the version, by its path in the tracked folder; the folder itself is ''."""
        with self._told():
            found = self._filesystem.find(f"/{CLIPS_DIR}", detail=True)
            paths = {path.removeprefix(f"/{CLIPS_DIR}/"): info["dvc_info"]["md5"] for path, info in found.items()}
        return {**paths, "": self.version.dvc_md5}

    def unpack(
        self, target: Path, shards: Collection[str] | None = None, sources: Collection[str] | None = None
    ) -> None:
        """Write the clips as a folder: `media/...`, and `clips.parquet` last, so that where it is, all is.

        Files that an earlier, killed attempt has written are checked and kept.

        Args:
            target: an empty or absent folder, or one that an earlier attempt began.
            shards: only what lies in these shards; the manifest then names only clips whose every file does.
            sources: only the clips of these sources (src_id).

        Raises:
            InputError: the folder holds something else, or the bytes cannot be had or are not what was committed.
        """
        manifest, files = self._selected(shards, sources)
        _require_ours(target, {item.path for item in self.media})
        (target / MANIFEST_NAME).unlink(missing_ok=True)
        for shard, members in shards_of(files).items():
            missing = [item for item in members if not _is_there(target / item.path, item)]
            if missing:
                with self.open_shard(shard) as raw:
                    for item in missing:
                        self._extract(raw, item, target / item.path)
        content = self._bytes(MANIFEST_NAME)
        if shards is None and sources is None:
            listing = {item.path: item.sha256 for item in files} | {MANIFEST_NAME: sha256_bytes(content)}
            if (found := sha256_listing(listing)) != self.version.content_sha256:
                raise self._unavailable(f"the content hashes to {found[:12]}")
        else:
            content = table_bytes(manifest)
        write_bytes(target / MANIFEST_NAME, content)

    def _selected(
        self, shards: Collection[str] | None, sources: Collection[str] | None
    ) -> tuple[pa.Table, list[PackedFile]]:
        files, manifest = self.media, self.manifest
        if sources is not None:
            if unknown := set(sources) - set(manifest["src_id"].to_pylist()):
                raise InputError(f"corpus {self.version.version} has no clip of source {', '.join(sorted(unknown))}")
            manifest = manifest.filter(pa.array([name in sources for name in manifest["src_id"].to_pylist()]))
            files = [item for item in files if item.src_id in sources]
        if shards is not None:
            if unknown := set(shards) - {item.shard for item in self.media}:
                raise InputError(f"corpus {self.version.version} has no shard {', '.join(sorted(unknown))}")
            files = [item for item in files if item.shard in shards]
            there = {item.path for item in files} | {None}
            columns = [manifest[name].to_pylist() for name in media_columns(manifest)]
            manifest = manifest.filter(pa.array([there.issuperset(paths) for paths in zip(*columns, strict=True)]))
        return manifest, files

    def _extract(self, raw: BinaryIO, item: PackedFile, target: Path) -> None:
        """One file, written beside its place and moved there once its hash is right."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        digest, left = hashlib.sha256(), item.size_bytes
        try:
            raw.seek(item.offset)
            with part.open("wb") as file:
                while left and (data := raw.read(min(left, CHUNK_BYTES))):
                    file.write(data)
                    digest.update(data)
                    left -= len(data)
            if digest.hexdigest() != item.sha256:
                raise self._unavailable(f"{item.path} in shard {item.shard[:12]} is not what was committed")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _bytes(self, name: str) -> bytes:
        with self._told():
            return cast(bytes, self._filesystem.cat_file(f"/{CLIPS_DIR}/{name}"))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """One message for whatever DVC and the file systems behind it raise."""
        from dvc.exceptions import DvcException
        from dvc_data.index import DataIndexDirError

        try:
            yield
        except (DvcException, DataIndexDirError, OSError) as error:
            raise self._unavailable(str(error) or type(error).__name__) from error

    def _unavailable(self, problem: str) -> InputError:
        if self.version.version in read_purged(self._place):
            return InputError(
                f"corpus {self.version.version} was purged: it held a source that had to be forgotten, and its clips "
                "are deleted. Use a later version."
            )
        remote = f" {self.version.remote_url}" if self.version.remote_url else ""
        return InputError(
            f"corpus {self.version.version} cannot be checked out from {self._place} or its remote{remote}: {problem}. "
            "Make the remote reachable, look at the credentials in the environment (AWS_ACCESS_KEY_ID or AWS_PROFILE), "
            "or run the step 'version' again."
        )


@contextmanager
def open_snapshot(
    repository: str | os.PathLike[str], version: str = "", *, remote_url: str = "", remote_endpoint_url: str = ""
) -> Iterator[CorpusSnapshot]:
    """A version of the repository in a folder or at a git address.

    Args:
        repository: folder of a corpus repository, or anything git clones from.
        version: a tag (`v3`) or a commit; empty for the newest version.
        remote_url: where the shards lie if not where the repository says, as in a pod that reaches the bucket by
            another address, or for a repository whose remote is a folder beside it.
        remote_endpoint_url: of the S3 service, likewise.

    Raises:
        InputError: no such repository or version.
    """
    place = os.fspath(repository)
    revision = version or newest_version(place)
    if not _REVISION.fullmatch(revision):
        raise InputError(f"{revision!r} is no corpus version; versions are called v1, v2, ...")
    settings = remote_settings(remote_url, remote_endpoint_url) or _newest_settings(place)
    filesystem = _filesystem(place, revision, settings)
    try:
        with quiet():
            snapshot = CorpusSnapshot(filesystem, _record(filesystem, place, revision, remote_url), place)
            with closing(snapshot):
                yield snapshot
    finally:
        filesystem.close()


def newest_version(repository: str) -> str:
    """The tag of the newest version. InputError if there is none."""
    tags = list_versions(repository)
    if not tags:
        raise InputError(f"the corpus repository {repository} has no version yet")
    return tags[-1]


def list_versions(repository: str) -> list[str]:
    """The tags of a repository's versions, oldest first.

    Raises:
        InputError: there is no repository at that address.
    """
    from dulwich.errors import GitProtocolError, NotGitRepository

    try:
        if (Path(repository) / ".git").is_dir():
            return list(VersionHistory(Path(repository), "").tags())
        return list(remote_tags(repository))
    except (NotGitRepository, GitProtocolError, OSError) as error:
        raise InputError(f"there is no corpus repository at {repository}: {error}") from error


def read_purged(repository: str) -> dict[str, list[str]]:
    """The versions whose clips were deleted, with DVC's hashes of what was deleted."""
    filesystem = _filesystem(repository, None, {})
    try:
        if not filesystem.isfile(f"/{PURGED_NAME}"):
            return {}
        versions: dict[str, list[str]] = json.loads(filesystem.cat_file(f"/{PURGED_NAME}"))["versions"]
        return versions
    finally:
        filesystem.close()


def media_columns(table: pa.Table) -> list[str]:
    """The columns of a manifest that name files of a clip which belong to a version: not the source, no thumbnail."""
    return [name for name in table.column_names if name.endswith("_path") and name not in _OTHER_PATHS]


_OTHER_PATHS = ("src_path", "thumbnail_path")


def table_bytes(table: pa.Table) -> bytes:
    """A table as parquet: the bytes depend on its values, not on how it was put together."""
    if table.column_names == SCHEMA.names:
        # Reading renames the fields inside lists and maps, which would be other bytes for the same manifest.
        table = table.cast(SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="zstd")
    return buffer.getvalue()


def _filesystem(place: str, revision: str | None, settings: dict[str, Any]) -> DVCFileSystem:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        filesystem = DVCFileSystem(url=place, rev=revision, config=settings or None)
        filesystem.repo  # noqa: B018 - opened here, so that what is wrong with the address is said here
    except (DvcException, SCMError, OSError) as error:
        raise InputError(f"corpus {revision} cannot be opened at {place}: {error}") from error
    return filesystem


def _newest_settings(place: str) -> dict[str, Any]:
    """The remote as the newest commit has it: that of an old version may have moved since."""
    if Path(place).is_dir() and (Path(place) / ".dvc").is_dir():
        return {}  # DVC takes that of the folder
    filesystem = _filesystem(place, None, {})
    try:
        remotes = filesystem.repo.config.get("remote", {})
        return {"remote": {name: dict(remote) for name, remote in remotes.items()}}
    finally:
        filesystem.close()


def _record(filesystem: DVCFileSystem, place: str, revision: str, remote_url: str) -> CorpusVersion:
    try:
        text = filesystem.cat_file(f"/{RECORD_NAME}")
    except (FileNotFoundError, KeyError) as error:
        raise InputError(f"{place} at {revision} is no corpus repository: it has no {RECORD_NAME}") from error
    commit = filesystem.repo.get_rev()
    return parse_corpus_version(text, git_revision=commit, repository=place, remote_url=remote_url)


def _require_ours(target: Path, paths: Collection[str]) -> None:
    """Refuse to mix a version with something else."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is not a folder")
    for path in sorted(target.rglob("*")) if target.is_dir() else ():
        name = path.relative_to(target).as_posix()
        if is_part(path):
            path.unlink()  # what a killed attempt had begun to write
        elif not path.is_dir() and name != MANIFEST_NAME and name not in paths:
            raise InputError(f"{target} holds {name}, which is not of this version; name an empty or new folder")


def _is_there(path: Path, item: PackedFile) -> bool:
    return path.is_file() and path.stat().st_size == item.size_bytes and sha256_file(path) == item.sha256
