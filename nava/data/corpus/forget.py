"""Forgetting a source: where a corpus holds it, a version without it, and what is left of it afterwards.

A new version without the source does not remove it from the old versions, whose bytes stay in the cache and in the
remote. `purge` deletes those too, and with them the old versions: what is deleted cannot be checked out again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nava.artifacts.corpus_version import CorpusVersion
from nava.config.corpus import CorpusConfig
from nava.data.corpus.content import CorpusContent
from nava.data.corpus.forget_list import LIST_NAME, ForgetList, ForgottenEntry, SourceSelector
from nava.data.corpus.purge import purge as purge_versions
from nava.data.corpus.repository import CorpusRepository
from nava.data.corpus.snapshot import CorpusSnapshot, open_snapshot
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class Occurrence:
    """What one version holds of the sources.

    Attributes:
        version: the tag.
        content_sha256: the content by which later steps refer to it.
        sources: ids of those that it has records of.
        clips: ids of the kept clips cut from them.
        dropped_records: how many other records there are of them (scores, texts, no media).
        shards: the media shards that hold files of those clips.
        media_bytes: size of those files.
    """

    version: str
    content_sha256: str
    sources: list[str]
    clips: list[str]
    dropped_records: int
    shards: list[str]
    media_bytes: int


@dataclass(frozen=True)
class ForgetReport:
    """What was found, and what was done.

    Attributes:
        by: how the sources were named. pattern: what they were named.
        reason: why they are to be forgotten.
        sources: their facts: src_id, src_sha256, src_path, licence, origin.
        occurrences: what each version holds of them, oldest first.
        new_version: tag of the version without them; empty when nothing was changed or the newest version had none.
        rewritten_shards: how many shards of the newest version were written again.
        purged: objects deleted from the remote and the cache, by the version that can no longer be checked out.
        still_held_by: versions whose bytes are still in the cache and the remote.
    """

    by: str
    pattern: str
    reason: str
    sources: list[dict[str, Any]]
    occurrences: list[Occurrence]
    new_version: str = ""
    rewritten_shards: int = 0
    purged: dict[str, list[str]] = field(default_factory=dict)
    still_held_by: list[str] = field(default_factory=list)

    @property
    def contents(self) -> set[str]:
        """The contents that hold the sources, as later steps refer to them."""
        return {item.content_sha256 for item in self.occurrences}

    @property
    def clips(self) -> set[str]:
        """The clips cut from the sources, in any version."""
        return {clip for item in self.occurrences for clip in item.clips}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def forget(
    repository: str | Path,
    source: str,
    reason: str,
    config: CorpusConfig | None = None,
    *,
    dry_run: bool = False,
    purge: bool = False,
) -> ForgetReport:
    """Make a version without a source, and see to it that no later version has it; what `nava data forget` calls.

    Args:
        repository: folder of the corpus repository.
        source: `src-...`, a sha256, a path, or `origin:NAME`, `licence:NAME`, `path:PATTERN`; the last three may have
            the wildcards of a shell, and an origin or a licence stays forgotten for sources that come later.
        reason: why; it is recorded in the version and in the forget list, so it should not repeat what is forgotten.
        config: where the shards are kept.
        dry_run: only report.
        purge: also delete the bytes of the old versions from the remote and the cache, with all that these versions
            share a shard with. Stores that keep old object versions, backups, clones and copies elsewhere keep theirs.

    Raises:
        InputError: there is no repository, the text names no source, or no version has it.
    """
    selector = SourceSelector.parse(source)
    corpus = CorpusRepository(Path(repository), config or CorpusConfig())
    if corpus.config.git_url:
        with corpus.changing():
            pass  # what others published is here now
    elif not corpus.store.is_initialized():
        raise InputError(f"there is no corpus repository in {repository}")
    if dry_run:
        return _found(corpus, selector, reason)[0]
    report, version = corpus.retried(lambda: _forget(corpus, selector, reason))
    purged = corpus.retried(lambda: purge_versions(corpus)) if purge else {}
    return replace(
        report,
        new_version=version.version if version else "",
        rewritten_shards=version.media["new_shards"] if version else 0,
        purged=purged,
        still_held_by=[item.version for item in report.occurrences if item.version not in purged],
    )


def _forget(
    corpus: CorpusRepository, selector: SourceSelector, reason: str
) -> tuple[ForgetReport, CorpusVersion | None]:
    with corpus.changing() as newest:
        report, entry = _found(corpus, selector, reason)
        assert newest is not None, "a source was found, so there is a version"
        return report, _without(corpus, newest, entry, corpus.forget_list().with_entry(entry))


def _found(corpus: CorpusRepository, selector: SourceSelector, reason: str) -> tuple[ForgetReport, ForgottenEntry]:
    sources: dict[str, dict[str, Any]] = {}
    occurrences, purged, known = [], corpus.purged(), corpus.forget_list()
    for version in corpus.versions():
        if version.version in purged:
            continue
        with open_snapshot(corpus.folder, version.git_revision) as snapshot:
            meant = [row for row in snapshot.sources.to_pylist() if selector.matches(row)]
            if meant:
                sources |= {row["src_id"]: row for row in meant}
                occurrences.append(_occurrence(snapshot, version, {row["src_id"] for row in meant}))
    # Asked again, as to purge what an earlier call left: the list knows the name even where no version has it.
    asked_before = any((entry.by, entry.pattern) == (selector.by, selector.pattern) for entry in known.entries)
    if not sources and not asked_before:
        raise InputError(
            f"no version of {corpus.folder} has a source with {selector.by} {selector.pattern!r}; "
            "give its id (src-...), its sha256, its path, or origin:NAME"
        )
    facts = [{name: row[name] for name in row if not isinstance(row[name], int)} for row in sources.values()]
    entry = ForgottenEntry(selector.by, selector.pattern, reason, {row["src_id"]: row["src_sha256"] for row in facts})
    held_by = [item.version for item in occurrences]
    report = ForgetReport(selector.by, selector.pattern, reason, facts, occurrences, still_held_by=held_by)
    return report, entry


def _occurrence(snapshot: CorpusSnapshot, version: CorpusVersion, sources: Collection[str]) -> Occurrence:
    files = [item for item in snapshot.media if item.src_id in sources]
    rows = snapshot.manifest.select(["src_id", "clip_id"]).to_pylist()
    return Occurrence(
        version=version.version,
        content_sha256=version.content_sha256,
        sources=sorted(sources),
        clips=[row["clip_id"] for row in rows if row["src_id"] in sources],
        dropped_records=sum(src_id in sources for src_id in snapshot.others["src_id"].to_pylist()),
        shards=sorted({item.shard for item in files}),
        media_bytes=sum(item.size_bytes for item in files),
    )


def _without(
    corpus: CorpusRepository, newest: CorpusSnapshot, entry: ForgottenEntry, forget_list: ForgetList
) -> CorpusVersion | None:
    """The newest version without the sources; None where it has none of them, and only the list changes."""
    gone = forget_list.covered(newest.sources.to_pylist())
    if not gone:
        if forget_list.entries != corpus.forget_list().entries:
            forget_list.write(corpus.folder)
            corpus.commit_list(LIST_NAME, f"Forget {entry.by} {entry.pattern}: {entry.reason}")
        return None
    content = CorpusContent.of_snapshot(newest).without(gone)
    facts = {
        "recipe": newest.version.recipe,
        "config_sha256": newest.version.config_sha256,
        **content.facts(),
        "reason": f"without {entry.by} {entry.pattern}: {entry.reason}",
        "forgotten": gone,
    }
    # An older version may hold the same; the newest one is what people take, so it is made again.
    killed = corpus.finish_killed(content.sha256)
    return killed or corpus.commit(content, newest, facts, forget_list=forget_list)
