"""The step `curate`: the sources of a manifest into a folder of clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nava.artifacts.clip_manifest import ClipRow, Modality, Status, count_reasons, count_statuses
from nava.artifacts.source_manifest import read_ignored, read_sources
from nava.config.annotation import AnnotationConfig
from nava.config.curation import CurationConfig
from nava.config.speech import SpeechConfig
from nava.runtime.handle import Handle
from nava.runtime.storage import atomic_folder

if TYPE_CHECKING:
    from nava.runtime.step import Step

WORK_DIR = "curation"


def curate(step: Step, sources: Handle) -> Handle:
    """Curate the media of `sources` (kind `sources`, with `meta.media_roots`) into a folder of kind `clips`.

    Work lies under the run's folder `curation`, by source and by what could change it: a killed step goes on where it
    stopped, and a grown corpus costs what is new.

    Raises:
        InputError: nothing was kept; the message lists the reasons with their counts.
    """
    from nava.data.curation.curate import Curation
    from nava.data.curation.plan import CurationPlan
    from nava.data.curation.publish import publish

    plan = CurationPlan(step.section(CurationConfig), step.section(SpeechConfig), step.section(AnnotationConfig))
    manifest = read_sources(sources.require("sources").path)
    roots = {str(name): str(root) for name, root in sources.meta["media_roots"].items()}
    curated = Curation(plan, step.run_dir / WORK_DIR, step.progress, step.log).run(manifest, roots)
    target = step.workdir / "clips"
    with atomic_folder(target) as folder:
        publish(curated, plan, folder, manifest, read_ignored(sources.path))
    for line in account_lines(curated.rows):
        step.log(line)
    made_by = {"recipe": step.recipe, "config_sha256": plan.config_sha256}
    return Handle.of_path("clips", target, **facts(curated.rows), **made_by)


def account_lines(rows: Sequence[ClipRow]) -> list[str]:
    """What became of the records, for people."""
    counts = count_statuses(rows)
    parts = " + ".join(f"{counts[str(status)]} {status}" for status in Status)
    return [f"records: {counts['in']} = {parts}", *(f"  {why}: {count}" for why, count in count_reasons(rows).items())]


def facts(rows: Sequence[ClipRow]) -> dict[str, Any]:
    """Counts for the handle: by status, reason, modality, split, tag and how text was looked for."""
    kept = [row for row in rows if row["status"] == Status.KEPT]
    pictures = [row for row in rows if row["modality"] == Modality.AUDIO_VIDEO and row.get("text_check")]
    return {
        "counts": count_statuses(rows),
        "reasons": count_reasons(rows),
        "sources": len({row["src_id"] for row in rows}),
        "kept_by_modality": dict(sorted(Counter(row["modality"] for row in kept).items())),
        "kept_by_split": dict(sorted(Counter(row["split"] for row in kept).items())),
        "kept_by_tag": dict(sorted(Counter(tag for row in kept for tag in row["tags"] or []).items())),
        "text_checks": dict(sorted(Counter(row["text_check"] for row in pictures).items())),
    }
