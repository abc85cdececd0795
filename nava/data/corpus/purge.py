"""Purging: deleting from the remote and the cache what old versions hold of forgotten sources.

A purged version keeps its record and its place in the history; its clips cannot be had any more. That is written down
and committed before anything is deleted, so that a kill in between is finished by the next purge.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from nava.artifacts.clip_manifest import MANIFEST_NAME
from nava.artifacts.corpus_version import CorpusVersion
from nava.artifacts.media_shard import INDEX_NAME, shard_path
from nava.data.corpus.forget_list import ForgetList
from nava.data.corpus.repository import CHECKOUTS_DIR, CorpusRepository
from nava.data.corpus.snapshot import OTHERS_NAME, PURGED_NAME, SOURCES_NAME, CorpusSnapshot, open_snapshot
from nava.runtime.storage import write_json

# What a version says of its sources besides their media: scores, texts, paths.
_TABLES = (MANIFEST_NAME, OTHERS_NAME, SOURCES_NAME, INDEX_NAME)


def purge(corpus: CorpusRepository) -> dict[str, list[str]]:
    """Delete what versions hold of the sources on the forget list; no version may be had from elsewhere afterwards.

    Objects that a version without these sources shares are left. The folders that steps checked such versions out to,
    beside the repository, are deleted too. Machines that publish to the same git repository lose them from their caches
    at their next change; other copies are out of reach.

    Returns:
        DVC's hashes of the deleted objects by version, those of earlier purges included.
    """
    with corpus.changing():
        forget_list, purged = corpus.forget_list(), corpus.purged()
        versions = {version.version: version for version in corpus.versions()}
        needed: set[str] = set()
        for version in versions.values():
            if version.version in purged:
                continue
            with open_snapshot(corpus.folder, version.git_revision) as snapshot:
                doomed = _objects_holding(snapshot, forget_list)
                if doomed:
                    purged[version.version] = doomed
                else:
                    needed.update(snapshot.hashes().values())
        purged = {tag: sorted(set(objects) - needed) for tag, objects in purged.items()}
        if purged:
            write_json(corpus.folder / PURGED_NAME, {"schema_version": 1, "versions": purged})
            corpus.commit_list(PURGED_NAME, f"Purge {', '.join(purged)}")
            corpus.store.delete({md5 for objects in purged.values() for md5 in objects})
            _delete_checkouts(corpus.folder, [versions[tag] for tag in purged])
    return purged


def _objects_holding(snapshot: CorpusSnapshot, forget_list: ForgetList) -> list[str]:
    """The objects of a version that say anything of sources on the list; none if it has none of them."""
    sources = set(forget_list.covered(snapshot.sources.to_pylist()))
    if not sources:
        return []
    hashes: Mapping[str, str] = snapshot.hashes()
    shards = {shard_path(item.shard) for item in snapshot.media if item.src_id in sources}
    return sorted({hashes[name] for name in (*_TABLES, *shards)})


def _delete_checkouts(repository: Path, versions: list[CorpusVersion]) -> None:
    for version in versions:
        folder = repository.with_name(CHECKOUTS_DIR) / version.content_sha256[:16]
        shutil.rmtree(folder, ignore_errors=True)
