"""The step `curate`: every source through the worker pool, then what needs the whole corpus: near-duplicates, the
split, the manifest.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.artifacts.clip_manifest import ClipRow, Modality, Reason, Status, count_reasons, count_statuses, write_clips
from nava.artifacts.source_manifest import Source, read_sources
from nava.config.curation import CurationConfig
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.storage import atomic_folder, link_or_copy, read_json

if TYPE_CHECKING:
    from nava.data.curation.unit import SourceCurator
    from nava.runtime.step import Step

_POOL = "worker_pool"
_FAILURES = {"killed": Reason.WORKER_KILLED, "timed_out": Reason.TIMED_OUT, "error": Reason.WORKER_ERROR}


def curate(step: Step, sources: Handle) -> Handle:
    """Curate the media of `sources` (kind `sources`, with `meta.media_root`) into a folder of kind `clips`.

    Every source is done once, in a folder under the step's working directory, so a run that was killed goes on where it
    stopped.

    Raises:
        InputError: nothing was kept; the message lists the reasons with their counts.
    """
    from nava.data.curation.unit import SourceCurator

    config = step.section(CurationConfig)
    manifest = read_sources(sources.require("sources").path)
    media_root = Path(str(sources.meta["media_root"]))
    units_dir = step.workdir / "units"
    _remove_partial(units_dir)
    curator = SourceCurator(config)
    failures = _process(step, curator, manifest, media_root, units_dir)
    rows, folders = _collect(manifest, failures, units_dir, curator.versions)
    _drop_duplicates(rows, folders, config)
    _assign_splits(rows, config.heldout_share)
    _check_accounts(rows, manifest)
    if not any(row["status"] == Status.KEPT for row in rows):
        raise InputError(_nothing_kept(rows, len(manifest), media_root, config))
    target = step.workdir / "clips"
    with atomic_folder(target) as folder:
        _publish(rows, folders, folder, config.kept_thumbnails)
    counts = count_statuses(rows)
    step.log(f"records: {counts['in']} = " + " + ".join(f"{counts[str(status)]} {status}" for status in Status))
    for reason, count in count_reasons(rows).items():
        step.log(f"  {reason}: {count}")
    return Handle.of_path("clips", target, counts=counts, reasons=count_reasons(rows), **_facts(rows, manifest))


def _process(
    step: Step, curator: SourceCurator, manifest: Sequence[Source], media_root: Path, units_dir: Path
) -> dict[str, tuple[Reason, str]]:
    """Runs what is not done yet; returns the sources whose worker died, hung or stumbled."""
    from nava.data.curation.pool import run_units
    from nava.data.curation.unit import UNIT_FILE, SourceUnit

    units = [SourceUnit(source, media_root, units_dir / source.source_id) for source in manifest]
    waiting = [unit for unit in units if not (unit.folder / UNIT_FILE).is_file()]
    if len(waiting) < len(units):
        step.log(f"{len(units) - len(waiting)} of {len(units)} sources were curated before, going on with the rest")
    # Long files first, so that the last worker is not left alone with one.
    waiting.sort(key=lambda unit: (-unit.source.size_bytes, unit.source.source_id))
    failures: dict[str, tuple[Reason, str]] = {}
    outcomes = run_units(curator, waiting, curator.config.workers, curator.config.decode.source_timeout_s)
    for outcome in step.progress(outcomes, total=len(waiting), label="sources"):
        if outcome.failure:
            failures[outcome.unit.source.source_id] = (_FAILURES[outcome.failure], outcome.detail)
            step.log(f"{outcome.unit.source.path}: {outcome.detail}")
    return failures


def _collect(
    manifest: Sequence[Source], failures: dict[str, tuple[Reason, str]], units_dir: Path, versions: dict[str, str]
) -> tuple[list[ClipRow], dict[str, Path]]:
    """All rows in manifest order, and the folder of each record that has files."""
    from nava.data.curation.unit import UNIT_FILE, rejected_source

    rows: list[ClipRow] = []
    folders: dict[str, Path] = {}
    for source in manifest:
        if source.source_id in failures:
            reason, detail = failures[source.source_id]
            rows.append(rejected_source(source, reason, detail, _POOL, versions))
            continue
        folder = units_dir / source.source_id
        for row in read_json(folder / UNIT_FILE):
            rows.append(row)
            folders[row["clip_id"]] = folder
    return rows, folders


def _drop_duplicates(rows: list[ClipRow], folders: dict[str, Path], config: CurationConfig) -> None:
    """Marks kept clips that repeat a better kept clip."""
    from nava.data.curation.duplicates import DuplicateStage
    from nava.data.curation.unit import read_signatures

    kept = [row for row in rows if row["status"] == Status.KEPT]
    by_clip = {}
    for folder in dict.fromkeys(folders[row["clip_id"]] for row in kept):
        by_clip.update(read_signatures(folder))
    stage = DuplicateStage(config.duplicates)
    pairs = stage.process([by_clip[row["clip_id"]] for row in kept], [_quality(row) for row in kept])
    for pair in pairs:
        keeper = kept[pair.keeper]
        detail = (
            f"repeats {keeper['clip_id']} of {keeper['src_path']} (cosine {pair.cosine:.3f}, frames and sound agree)"
        )
        kept[pair.clip] |= {
            "status": str(Status.DROPPED),
            "drop_reason": str(Reason.NEAR_DUPLICATE),
            "detail": detail,
            "stage": stage.name,
            "dup_of": keeper["clip_id"],
            "dup_cosine": pair.cosine,
        }
    for row in rows:
        row["stage_versions"] = sorted([*map(tuple, row["stage_versions"]), (stage.name, stage.version)])


def _quality(row: ClipRow) -> tuple[float, ...]:
    """What makes a clip the better one of two: more source pixels, then a sharper picture, then fewer errors."""
    pixels = (row.get("source_width") or 0) * (row.get("source_height") or 0)
    return float(pixels), row.get("sharpness") or 0.0, -float(row.get("packet_errors") or 0)


def _assign_splits(rows: list[ClipRow], heldout_share: float) -> None:
    """Sources with kept clips are split by modality, so that both splits have audio-video clips; the others follow the
    same hash.
    """
    from nava.data.curation.split import SplitStage

    usable = {row["src_sha256"]: row["modality"] for row in rows if row["status"] == Status.KEPT}
    stage = SplitStage(heldout_share)
    splits = stage.process(usable)
    for row in rows:
        row["split"] = str(splits[row["src_sha256"]]) if row["src_sha256"] in splits else None


def _check_accounts(rows: Sequence[ClipRow], manifest: Sequence[Source]) -> None:
    """No record is lost: every source has a row, every row an end, and every end that is not `kept` a reason."""
    counts = count_statuses(rows)
    assert counts["in"] == len(rows)
    missing = {source.source_id for source in manifest} - {row["src_id"] for row in rows}
    assert not missing, f"sources without a record: {sorted(missing)[:3]}"
    assert all((row["status"] == Status.KEPT) == (row.get("drop_reason") is None) for row in rows)


def _nothing_kept(rows: Sequence[ClipRow], sources: int, media_root: Path, config: CurationConfig) -> str:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in count_reasons(rows).items()) or "no source files"
    clip_s = config.clip.frames / config.clip.fps
    return (
        f"curation kept nothing of {sources} source files under {media_root} ({reasons}). Add videos of at least "
        f"{clip_s:.1f} s with moving pictures and sound, or move the thresholds of the section 'curation'."
    )


def _publish(rows: Sequence[ClipRow], folders: dict[str, Path], folder: Path, kept_thumbnails: int) -> None:
    """Writes the manifest with the media of kept clips, and the thumbnails of the others and of the first few kept."""
    shown = 0
    for row in rows:
        kept = row["status"] == Status.KEPT
        if row.get("thumbnail_path") and kept:
            shown += 1
            if shown > kept_thumbnails:
                row["thumbnail_path"] = None
        if not kept:
            for column in ("video_path", "video_sha256", "audio_path", "audio_sha256"):
                row[column] = None
        for column in ("video_path", "audio_path", "thumbnail_path"):
            if row.get(column):
                link_or_copy(folders[row["clip_id"]] / row[column], folder / row[column])
    write_clips(folder, rows)


def _remove_partial(units_dir: Path) -> None:
    """Removes what a killed worker left half-written."""
    for partial in units_dir.glob(".*.part"):
        shutil.rmtree(partial, ignore_errors=True)


def _facts(rows: Sequence[ClipRow], manifest: Sequence[Source]) -> dict[str, Any]:
    kept = [row for row in rows if row["status"] == Status.KEPT]
    pictures = [row for row in rows if row["modality"] == Modality.AUDIO_VIDEO and row.get("text_check")]
    return {
        "sources": len(manifest),
        "kept_by_modality": dict(sorted(Counter(row["modality"] for row in kept).items())),
        "kept_by_split": dict(sorted(Counter(row["split"] for row in kept).items())),
        "kept_by_tag": dict(sorted(Counter(tag for row in kept for tag in row["tags"]).items())),
        "text_checks": dict(sorted(Counter(row["text_check"] for row in pictures).items())),
    }
