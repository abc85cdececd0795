"""Pulling: a version, or a part of one, from a git address and a remote, on a machine that has neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from nava.artifacts.clip_manifest import MANIFEST_NAME
from nava.artifacts.corpus_version import CorpusVersion
from nava.data.corpus.snapshot import open_snapshot, table_bytes
from nava.runtime.storage import write_bytes


@dataclass(frozen=True)
class PulledCorpus:
    """What came.

    Attributes:
        version: the record of the version.
        folder: where it lies: `clips.parquet` and the media.
        clips: how many clips the manifest there names.
        files: how many media files are there.
        bytes: their size.
    """

    version: CorpusVersion
    folder: Path
    clips: int
    files: int
    bytes: int


def pull(
    repository: str,
    version: str,
    target: Path,
    *,
    manifest_only: bool = False,
    shards: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    remote_url: str = "",
    remote_endpoint_url: str = "",
) -> PulledCorpus:
    """Bring a version, or a part of it, into a folder and check every hash; what `nava data pull` calls.

    Nothing but the git address is needed: no clone, no cache, no working copy. Credentials of a bucket are taken from
    where AWS's own tools look for them. A pull that was killed goes on where it was.

    Args:
        repository: folder of a corpus repository, or anything git clones from.
        version: a tag (`v3`) or a commit; empty for the newest version.
        target: an empty or absent folder, or one that an earlier pull of the same version began.
        manifest_only: bring `clips.parquet` and no media.
        shards: bring only these media shards, and the manifest of the clips that are whole within them.
        sources: bring only the clips of these sources (src_id).
        remote_url: where the shards lie if not where the repository says: the bucket under another address, or the
            folder that lies beside the repository's.
        remote_endpoint_url: of the S3 service, likewise.

    Raises:
        InputError: no such repository, version, shard or source; the remote cannot be read; what comes is not what was
            committed; or the target holds something else.
    """
    with open_snapshot(repository, version, remote_url=remote_url, remote_endpoint_url=remote_endpoint_url) as snapshot:
        if manifest_only:
            write_bytes(target / MANIFEST_NAME, table_bytes(snapshot.manifest))
        else:
            snapshot.unpack(target, shards, sources)
        there = [item for item in snapshot.media if (target / item.path).is_file()]
        clips = pq.read_metadata(target / MANIFEST_NAME).num_rows
        return PulledCorpus(snapshot.version, target, clips, len(there), sum(item.size_bytes for item in there))
