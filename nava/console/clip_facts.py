"""Everything known of one record of a curated folder: for its page, for programs, and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa

from nava.artifacts.clip_manifest import ClipRow, Status
from nava.console.clip_checks import duplicate_check, filter_checks, subset_checks, unbound_scores
from nava.console.clip_media_links import MediaLinks, media_facts
from nava.console.curated_folder import CuratedFolder
from nava.pages.charts import Tone
from nava.pages.clip_page import (
    ClipPage,
    FileFacts,
    RelatedClip,
    ScoreCheck,
    TagGroup,
    Utterance,
    bound_text,
    score_text,
)
from nava.pages.formats import format_bytes, format_fixed, format_number
from nava.pages.timeline import Span
from nava.runtime.hashing import sha256_file

STATUS_TONES: dict[str, Tone] = {"kept": "good", "dropped": "warn", "failed": "bad", "quarantined": "bad"}
_SHOWN_COPIES = 4
_US = 1_000_000
_FILES = (("Picture and sound", "video"), ("Sound for the model", "audio"), ("Sound as kept", "audio_48k"))


def clip_page(folder: CuratedFolder, clip_id: str, links: MediaLinks, corpus_href: str = "") -> ClipPage:
    """The facts of a record's page; KeyError if there is no such record."""
    row = folder.row(clip_id)
    siblings = folder.of_source(row["src_id"])
    checks = [_in_corpus(folder, check) for check in filter_checks(folder, row)]
    related, label, more = _related(folder, row, links)
    scenes, clips, end_s = _place(row, siblings, links)
    likeness = duplicate_check(folder, row)
    kept = row["status"] == Status.KEPT
    return ClipPage(
        corpus=folder.path.name,
        corpus_href=corpus_href,
        clip_id=clip_id,
        status=row["status"],
        reason=row["drop_reason"] or "",
        sentence=sentence(row, checks),
        also=also_against(row, checks),
        media=media_facts(folder, row, links, traced=True),
        duration_s=row["duration_s"],
        caption=row["caption"] or "",
        caption_backend=row["caption_backend"] or "",
        caption_model=row["caption_model"] or "",
        prompt=row["prompt"] or "",
        speech=[Utterance(one["speaker"], one["t0_s"], one["t1_s"], one["text"]) for one in row["speech"] or ()],
        speech_backend=row["asr_backend"] or "",
        tags=_tags(row),
        source=_source(folder, row),
        scenes=scenes,
        clips=clips,
        source_end_s=end_s,
        checks=[*checks, *([likeness] if likeness else [])],
        scores=[_in_corpus(folder, check) for check in unbound_scores(row) if check.value is not None],
        subset_checks=[_in_corpus(folder, check) for check in subset_checks(folder, row)] if kept else [],
        related=related,
        related_label=label,
        related_more=more,
        form=_form(row),
        files=_files(folder, row),
        stages=dict(sorted(row["stage_versions"].items())),
        made_by=_made_by(folder, row),
    )


def clip_value(folder: CuratedFolder, clip_id: str) -> dict[str, Any]:
    """Everything known of a record, as JSON values: its row, what was decided and why, its kin."""
    row = folder.row(clip_id)
    checks = filter_checks(folder, row)
    checked = ("label", "column", "value", "bound", "kind", "passed", "reason", "note")
    copies = folder.copies_of(clip_id)
    source = folder.sources.get(row["src_id"])
    return {
        "clip": row,
        "sentence": sentence(row, checks),
        "checks": [{name: getattr(check, name) for name in checked} for check in checks],
        "subset_checks": [{name: getattr(check, name) for name in checked} for check in subset_checks(folder, row)],
        "source": asdict(source) if source else None,
        "clips_of_source": [one["clip_id"] for one in folder.of_source(row["src_id"])],
        "repeats": row["dup_of"],
        "repeated_by": [one["clip_id"] for one in copies],
        "files": [asdict(file) for file in _files(folder, row)],
        "made_by": _made_by(folder, row),
    }


def clip_lines(page: ClipPage) -> list[str]:
    """The same for the terminal."""
    lines = [f"{page.clip_id}  {page.status}", page.sentence]
    lines += [f"and would not have been kept for: {', '.join(page.also)}"] if page.also else []
    lines += ["", *_block("source", page.source), *_block("form", page.form), "", "scores"]
    lines += [_score_line(check) for check in page.checks]
    lines += [_score_line(check) for check in page.scores]
    if page.subset_checks:
        lines += ["", "asked for the subsets of stages 2 and 3", *(_score_line(check) for check in page.subset_checks)]
    if page.caption:
        lines += ["", f"caption ({page.caption_backend})", f"  {page.caption}"]
        lines += ["prompt", *(f"  {line}" for line in page.prompt.splitlines())]
    for one in page.speech:
        lines.append(f"  {one.t0_s:6.2f} to {one.t1_s:6.2f} s  {one.speaker}: {one.text or '(not transcribed)'}")
    lines += [f"{group.label.lower()} ({group.backend}): {', '.join(group.tags) or 'none'}" for group in page.tags]
    lines += ["", f"duplicates: {page.related_label}"]
    lines += [f"  {one.clip_id}  {one.status}  {one.source}" for one in page.related]
    lines += [""] if page.files else []
    lines += [f"  {file.path}  {file.sha256[:12]}  {file.state}" for file in page.files]
    return lines


def _score_line(check: ScoreCheck) -> str:
    state = {True: "pass", False: "FAIL", None: "-"}[check.passed] if check.bound is not None else ""
    columns = f"  {check.label:26}{score_text(check.value, check.column):>10} {check.unit:21}"
    return f"{columns}{bound_text(check):18}{state:5}{check.note}".rstrip()


def _block(title: str, facts: dict[str, Any]) -> list[str]:
    return [title, *(f"  {name:22}{value}" for name, value in facts.items() if value not in (None, ""))]


def sentence(row: ClipRow, checks: Sequence[ScoreCheck]) -> str:
    """Why a record was kept, or was not."""
    if row["status"] != Status.KEPT:
        return f"{row['status'].capitalize()} at the stage '{row['stage']}' as {row['drop_reason']}: {row['detail']}."
    judged = [check for check in checks if check.passed is not None]
    if not judged:
        return "Kept. The settings that it was judged by are not recorded beside it."
    passed = sum(bool(check.passed) for check in judged)
    rules = f"all {passed} rules that apply" if passed == len(judged) else f"{passed} of {len(judged)} rules"
    subsets = ", ".join(row["subsets"] or ()) or "no subset"
    return f"Kept: it passes {rules} and repeats no better clip. Split {row['split']}, for {subsets}."


def also_against(row: ClipRow, checks: Sequence[ScoreCheck]) -> list[str]:
    """Reasons of the filters that speak against a record, beside the one it was closed for."""
    return [check.reason for check in checks if check.passed is False and check.reason != row["drop_reason"]]


def _in_corpus(folder: CuratedFolder, check: ScoreCheck) -> ScoreCheck:
    """The check with where its value lies among all that were measured."""
    kind = folder.table.schema.field(check.column).type
    if check.value is None or check.bound == 0 or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return check
    measured = np.asarray([value for value in folder.column(check.column) if value is not None], dtype=float)
    measured = measured[np.isfinite(measured)]
    if measured.size < 2:
        return check
    p01, p05, p95, p99 = (float(value) for value in np.quantile(measured, [0.01, 0.05, 0.95, 0.99]))
    bounds = [] if check.bound is None else [check.bound]
    bounds += [-bound for bound in bounds] if check.column == "av_offset_s" else []
    low, high = min(p01, check.value, *bounds), max(p99, check.value, *bounds)
    if high <= low:
        return check
    rank = float((measured < check.value).mean())
    return replace(check, span=(low, high), usual=(p05, p95), rank=rank)


def _tags(row: ClipRow) -> list[TagGroup]:
    groups = (
        ("Measured by the captioner", row["tags"], row["caption_backend"]),
        ("Sound", row["audio_tags"], row["audio_tag_backend"]),
        ("Picture", row["visual_tags"], row["visual_tag_backend"]),
    )
    return [TagGroup(label, tags, backend or "") for label, tags, backend in groups if tags is not None]


def _source(folder: CuratedFolder, row: ClipRow) -> dict[str, Any]:
    source = folder.sources.get(row["src_id"])
    facts = {
        "path": row["src_path"],
        "id": row["src_id"],
        "collection": row["collection"],
        "licence": row["licence"],
        "origin": row["origin"],
        "scene": row["scene"],
        "scene from, to": _times(row["scene_t0_us"], row["scene_t1_us"]),
        "clip from, to": _times(row["t0_us"], row["t1_us"]),
        "size": format_bytes(source.size_bytes) if source else "",
        "transcript": (source.sidecar_path or ("in its metadata" if source.transcript else "")) if source else "",
        "sha256": row["src_sha256"],
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _times(t0_us: int | None, t1_us: int | None) -> str:
    return "" if t0_us is None or t1_us is None else f"{t0_us / _US:.3f} to {t1_us / _US:.3f} s"


def _form(row: ClipRow) -> dict[str, Any]:
    picture = f"{row['width']} x {row['height']}, {row['n_frames']} frames at {format_number(row['fps'])} fps"
    crop = row["crop"]
    facts = {
        "modality": {"av": "picture and sound", "audio": "sound alone"}.get(row["modality"], "unknown"),
        "length": f"{format_fixed(row['duration_s'], 3)} s" if row["duration_s"] is not None else "",
        "picture": picture if row["n_frames"] else "",
        "picture of the source": f"{row['source_width']} x {row['source_height']}" if row["source_width"] else "",
        "crop": "" if not crop else ", ".join(f"{name} {crop[name]:.2f}" for name in ("x0", "y0", "x1", "y1")),
        "channels of the source": row["audio_channels"],
        "samples": f"{format_number(row['n_samples_16k'])} at 16 kHz" if row["n_samples_16k"] else "",
        "codecs of the source": ", ".join(name for name in (row["vcodec"], row["acodec"]) if name),
        "bucket": row["bucket"],
        "speakers": row["speakers"],
        "offset by": row["av_backend"],
        "text read by": row["text_backend"],
        "signature": row["embedding_backend"],
        "cluster": row["cluster"],
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _made_by(folder: CuratedFolder, row: ClipRow) -> dict[str, Any]:
    facts = {
        "program": row["created_by"],
        "split": row["split"],
        "subsets": ", ".join(row["subsets"] or ()),
        "closed by": row["stage"],
        "recipe": folder.record.get("recipe"),
        "settings": folder.record.get("config_sha256"),
        "look key": folder.record.get("look_key"),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _files(folder: CuratedFolder, row: ClipRow) -> list[FileFacts]:
    files = []
    for label, kind in _FILES:
        if not (named := row[f"{kind}_path"]):
            continue
        path = folder.file(row, {"video": "video", "audio": "model_sound", "audio_48k": "sound"}[kind])
        wanted = row[f"{kind}_sha256"]
        state = (
            "missing" if path is None else "as hashed" if sha256_file(path) == wanted else "NOT those that were hashed"
        )
        files.append(FileFacts(label, named, wanted or "", state))
    return files


def _place(row: ClipRow, siblings: Sequence[ClipRow], links: MediaLinks) -> tuple[list[Span], list[Span], float]:
    """Scenes and clips of the source, in seconds of its clock, and where the last one ends."""
    scenes = {one["scene"]: one for one in siblings if one["scene_t0_us"] is not None}
    timed = [one for one in siblings if one["t0_us"] is not None]
    ends = [one["scene_t1_us"] for one in scenes.values()] + [one["t1_us"] for one in timed]
    scene_spans = [
        Span(one["scene_t0_us"] / _US, one["scene_t1_us"] / _US, f"scene {number}", current=number == row["scene"])
        for number, one in sorted(scenes.items())
    ]
    clip_spans = [_clip_span(one, one["clip_id"] == row["clip_id"], links) for one in timed]
    return scene_spans, clip_spans, max(ends, default=0) / _US


def _clip_span(row: ClipRow, current: bool, links: MediaLinks) -> Span:
    label = f"{row['clip_id']} {row['status']}" + (f" ({row['drop_reason']})" if row["drop_reason"] else "")
    href = "" if current else links.clip(row["clip_id"])
    return Span(row["t0_us"] / _US, row["t1_us"] / _US, label, STATUS_TONES[row["status"]], href, current)


def _related(folder: CuratedFolder, row: ClipRow, links: MediaLinks) -> tuple[list[RelatedClip], str, int]:
    """The keeper of a repetition, or the repetitions of a clip; what they are; how many are not shown."""
    if keeper := row["dup_of"]:
        if keeper not in folder:
            return [], f"Repeats {keeper}, which is a clip of another corpus.", 0
        found = _related_clip(folder, folder.row(keeper), links, row["dup_cosine"])
        return [found], "It repeats this clip, which is the better one and stays:", 0
    copies = folder.copies_of(row["clip_id"])
    if not copies:
        compared = row["cluster"] is not None
        return [], "No other clip repeats it." if compared else "It was not compared with other clips.", 0
    shown = [_related_clip(folder, one, links, one["dup_cosine"]) for one in copies[:_SHOWN_COPIES]]
    words = (
        "This clip repeats it and was dropped:"
        if len(copies) == 1
        else f"{len(copies)} clips repeat it and were dropped:"
    )
    return shown, words, len(copies) - len(shown)


def _related_clip(folder: CuratedFolder, row: ClipRow, links: MediaLinks, cosine: float | None) -> RelatedClip:
    media = replace(media_facts(folder, row, links), note="")
    return RelatedClip(row["clip_id"], links.clip(row["clip_id"]), row["src_path"], row["status"], cosine, media)
