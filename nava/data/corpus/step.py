"""The step `version`: the kept clips become a version of the corpus repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nava.artifacts.corpus_version import write_corpus_version
from nava.config.corpus import CorpusConfig
from nava.runtime.errors import GateFailed
from nava.runtime.handle import Handle

if TYPE_CHECKING:
    from nava.runtime.step import Step

REPOSITORY_DIR = "corpus"


def version(step: Step, clips: Handle, verdict: Handle) -> Handle:
    """Commit the kept clips of `clips` (kind `clips`) that `verdict` (kind `gate_verdict`) let pass.

    The same content is the same version: nothing is committed twice. The name and hash of the recipe are those that the
    curation wrote into the meta of its handle.

    Raises:
        GateFailed: the verdict is a refusal.
    """
    from nava.data.corpus.repository import CorpusRepository

    if not verdict.require("gate_verdict").meta.get("passed"):
        raise GateFailed("the data gate refused these clips; no corpus version is made", verdict)
    published = CorpusRepository(step.run_dir / REPOSITORY_DIR, step.section(CorpusConfig)).publish(
        clips.require("clips").path,
        recipe=str(clips.meta.get("recipe", "")),
        config_sha256=str(clips.meta.get("config_sha256", "")),
        clips_sha256=clips.sha256,
        verdict_sha256=verdict.sha256,
    )
    if published.forgotten:
        step.log(f"left out, as asked to forget: {', '.join(published.forgotten)}")
    shown = f"{published.counts['kept']} clips in {published.media['shards']} shards"
    step.log(f"corpus {published.version}: {shown}, content {published.content_sha256[:12]}")
    return write_corpus_version(step.workdir / "corpus_version.json", published)
