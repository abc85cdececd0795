"""The step `version`: the kept clips become a version of the corpus repository."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

from nava.artifacts.clip_manifest import Status, count_statuses, read_clips, write_clips
from nava.artifacts.corpus_version import write_corpus_version
from nava.config.corpus import CorpusConfig
from nava.runtime.errors import GateFailed
from nava.runtime.handle import Handle
from nava.runtime.storage import atomic_folder, link_or_copy

if TYPE_CHECKING:
    from pathlib import Path

    from nava.artifacts.clip_manifest import ClipRow
    from nava.runtime.step import Step

REPOSITORY_DIR = "corpus"


def version(step: Step, clips: Handle, verdict: Handle) -> Handle:
    """Commit the kept clips of `clips` (kind `clips`) that `verdict` (kind `gate_verdict`) let pass.

    The same content is the same version: nothing is committed twice.

    Raises:
        GateFailed: the verdict is a refusal.
    """
    from nava.data.corpus.repository import CorpusRepository

    if not verdict.require("gate_verdict").meta.get("passed"):
        raise GateFailed("the data gate refused these clips; no corpus version is made", verdict)
    source = clips.require("clips").path
    rows = read_clips(source).to_pylist()
    kept = [row for row in rows if row["status"] == Status.KEPT]
    staged = step.workdir / "staged"
    with atomic_folder(staged) as folder:
        _stage(source, kept, folder)
    facts = {
        "counts": count_statuses(rows),
        "kept_by_split": dict(sorted(Counter(f"{row['split']}/{row['modality']}" for row in kept).items())),
        "clips_sha256": clips.sha256,
        "verdict_sha256": verdict.sha256,
    }
    published = CorpusRepository(step.run_dir / REPOSITORY_DIR, step.section(CorpusConfig)).publish(staged, facts)
    shutil.rmtree(staged)
    step.log(f"corpus {published.version}: {len(kept)} clips, content {published.content_sha256[:12]}")
    return write_corpus_version(step.workdir / "corpus_version.json", published)


def _stage(source: Path, kept: list[ClipRow], folder: Path) -> None:
    """The manifest of the kept clips and their media, without the thumbnails of the others."""
    for row in kept:
        row["thumbnail_path"] = None
        for column in ("video_path", "audio_path"):
            if row[column]:
                link_or_copy(source / row[column], folder / row[column])
    write_clips(folder, kept)
