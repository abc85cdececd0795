"""A curated corpus as a folder: the manifests of clips and sources, the media of kept clips, the signature index and
the record of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nava.artifacts.clip_manifest import ClipRow, Reason, Status, count_reasons, count_statuses, write_clips
from nava.artifacts.source_manifest import IgnoredFile, Source, write_sources
from nava.config.composition import identity_values
from nava.data.curation.curate import Curated
from nava.data.curation.plan import CurationPlan, clip_quality
from nava.data.duplicates.index import IndexedClip, write_index
from nava.data.duplicates.signature_shards import SHARD_NAME, SignatureShards
from nava.runtime.storage import link_or_copy, write_json

SIGNATURES_DIR = "signatures"
RECORD_FILE = "curation.json"
_MEDIA_COLUMNS = ("video_path", "audio_path", "audio_48k_path")


def publish(
    curated: Curated,
    plan: CurationPlan,
    folder: Path,
    sources: Sequence[Source],
    ignored: Sequence[IgnoredFile],
) -> None:
    """Write everything into `folder`, which is empty; rows of records that were not kept name no media.

    Thumbnails are published of what was not kept, and of the first few kept clips.
    """
    write_sources(folder, sources, ignored)
    shown = 0
    for row in curated.rows:
        kept = row["status"] == Status.KEPT
        if row.get("thumbnail_path") and kept:
            shown += 1
            if shown > plan.curation.kept_thumbnails:
                row["thumbnail_path"] = None
        if not kept:
            row |= {name: None for path in _MEDIA_COLUMNS for name in (path, path.replace("_path", "_sha256"))}
        for column in (*_MEDIA_COLUMNS, "thumbnail_path"):
            if row.get(column):
                link_or_copy(curated.folders[row["clip_id"]] / row[column], folder / row[column])
    places = _write_signatures(curated, folder / SIGNATURES_DIR)
    for row in curated.rows:
        place = places.get(row["clip_id"])
        row["embedding_ref"] = f"{SIGNATURES_DIR}/{place}" if place else None
    write_clips(folder, curated.rows)
    write_json(folder / RECORD_FILE, record(curated.rows, plan))


def _write_signatures(curated: Curated, folder: Path) -> dict[str, str]:
    """The index of kept clips and of their duplicates."""
    compared = [
        row for row in curated.rows if row["status"] == Status.KEPT or row["drop_reason"] == Reason.NEAR_DUPLICATE
    ]
    signed = [row for row in compared if row.get("embedding_ref")]
    shards = sorted({curated.folders[row["clip_id"]] / SHARD_NAME for row in signed})
    signatures = SignatureShards(shards, frozenset(row["clip_id"] for row in signed))
    clips = [
        IndexedClip(row["clip_id"], row["src_id"], clip_quality(row), row["status"] == Status.KEPT, row.get("dup_of"))
        for row in signed
    ]
    return write_index(folder, signatures, clips)


def record(rows: Sequence[ClipRow], plan: CurationPlan) -> dict[str, object]:
    """What the folder was made with; a function of the sources and the settings, not of who ran it when."""
    return {
        "schema_version": 1,
        "counts": count_statuses(rows),
        "reasons": count_reasons(rows),
        "sources": len({row["src_id"] for row in rows}),
        "stage_versions": plan.versions,
        "look_key": plan.look_key,
        "config_sha256": plan.config_sha256,
        "config": {name: identity_values(getattr(plan, name)) for name in ("curation", "speech", "annotation")},
    }
