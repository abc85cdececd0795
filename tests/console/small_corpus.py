"""A curated folder small enough for tests: real media, and one record of each kind of ending."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nava.artifacts.clip_manifest import MANIFEST_NAME, SCHEMA, count_statuses, write_clips
from nava.artifacts.gate_verdict import GateVerdict, RuleResult, write_verdict
from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason, Source, write_sources
from nava.config.annotation import AnnotationConfig
from nava.config.composition import identity_values
from nava.config.curation import ClipConfig, CurationConfig
from nava.config.speech import SpeechConfig
from nava.data.curation.transcode import write_flac, write_mp4, write_wav
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.storage import write_json

KEPT, SOUND, COPY, TITLED = "aa11" * 6, "aa22" * 6, "bb33" * 6, "cc44" * 6
BROKEN = "src-" + "e" * 16
LOOK_KEY = "0123456789abcdef"
FRAMES, RATE_HZ = 24, 48_000
VERSIONS = {"integrity": "2", "filters": "2", "duplicates": "2", "captions": "3"}
BOX = {"x0": 0.2, "y0": 0.88, "x1": 0.8, "y1": 0.94, "text": "Look over here", "score": 0.9, "time_s": 0.5}
SCORES = {
    "sharpness": 20.0,
    "blockiness": 1.1,
    "exposure": 0.9,
    "motion": 3.0,
    "static_ratio": 0.3,
    "lufs": -20.0,
    "peak_db": -3.0,
    "clip_ratio": 0.0,
    "silence_ratio": 0.1,
    "av_offset_s": 0.01,
    "av_conf": 0.6,
    "ocr_boxes": [],
    "text_check": "no_text_like_edges",
    "packet_errors": 0,
    "corrupt_frames": 0,
}


def record(clip_id: str, source: str, **values: Any) -> dict[str, Any]:
    """A kept clip with pictures, from the first second of a source; `values` change it."""
    empty: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    sha256 = sha256_bytes(source.encode())
    whole = {
        "clip_id": clip_id,
        "modality": "av",
        "src_id": f"src-{sha256[:16]}",
        "src_sha256": sha256,
        "src_path": f"video/{source}.mp4",
        "licence": "CC0-1.0",
        "origin": "drawn",
        "scene": 0,
        "scene_t0_us": 0,
        "scene_t1_us": 2_000_000,
        "t0_us": 100_000,
        "t1_us": 1_100_000,
        "width": 64,
        "height": 64,
        "fps": 24.0,
        "n_frames": FRAMES,
        "duration_s": 1.0,
        "audio_sr": 16_000,
        "audio_channels": 1,
        "split": "train",
        "subsets": ["stage1", "stage2", "stage3"],
        "status": "kept",
        "stage": "subsets",
        "stage_versions": list(VERSIONS.items()),
        "created_by": "nava 0.1.0",
    }
    return empty | whole | SCORES | values


def dropped(clip_id: str, source: str, reason: str, stage: str, **values: Any) -> dict[str, Any]:
    """A record that was closed before the stages of words."""
    ending = {"status": "dropped", "drop_reason": reason, "stage": stage, "detail": f"it is {reason}", "subsets": None}
    return record(clip_id, source, **(ending | values))


def rows() -> list[dict[str, Any]]:
    """A kept clip, kept sound, a repetition, a subtitled clip, and a file that is no media."""
    speech = [
        {"speaker": "Ada", "t0_s": 0.1, "t1_s": 0.5, "text": "Come in."},
        {"speaker": "Ben", "t0_s": 0.5, "t1_s": 0.9, "text": ""},
    ]
    words = {
        "caption": "A red square. <S>Come in.<E>",
        "caption_backend": "rules.v1",
        "caption_model": "rules.v1",
        "prompt": "Visual: A red square.",
        "tags": ["square", "colour:red"],
        "audio_tags": ["multi_speaker"],
        "audio_tag_backend": "yamnet:abc (unproven)",
        "visual_tags": [],
        "visual_tag_backend": "rules.v1",
        "speakers": 2,
        "speech": speech,
        "asr_backend": "sidecar",
        "cluster": 0,
    }
    nothing = dict.fromkeys(
        [*SCORES, "t0_us", "t1_us", "scene", "scene_t0_us", "scene_t1_us", "duration_s", "n_frames"]
    )
    still = {
        "modality": "audio",
        "scene": None,
        "scene_t0_us": None,
        "scene_t1_us": None,
        "width": None,
        "height": None,
    }
    no_picture = dict.fromkeys(["sharpness", "blockiness", "exposure", "static_ratio", "motion", "ocr_boxes"])
    no_offset = {"av_offset_s": None, "av_conf": None, "text_check": "not_checked", "subsets": ["stage1", "stage2"]}
    return [
        record(KEPT, "one", **words),
        record(SOUND, "two", **{**still, **no_picture, **no_offset, "src_path": "audio/two.wav", "cluster": 1}),
        dropped(
            COPY, "one", "near_duplicate", "duplicates", t0_us=1_200_000, t1_us=2_000_000, dup_of=KEPT, dup_cosine=0.99
        ),
        dropped(TITLED, "three", "subtitle_text", "filters", ocr_boxes=[BOX], text_check="read", lufs=-60.0),
        dropped(
            BROKEN, "four", "undecodable", "integrity", **nothing, status="quarantined", modality="", src_id=BROKEN
        ),
    ]


def write_media(folder: Path, row: dict[str, Any], *, picture: bool = True) -> dict[str, Any]:
    """Write what a clip consists of under `folder`; returns the columns that name and hash the files."""
    name, frames = row["clip_id"], FRAMES
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
    tone *= (np.arange(RATE_HZ) // 8000 % 2).astype(np.float32)
    files = {"audio": f"media/{name}.wav", "audio_48k": f"media/{name}.flac"}
    (folder / "media").mkdir(parents=True, exist_ok=True)
    write_wav(folder / files["audio"], tone[::3], 16_000)
    write_flac(folder / files["audio_48k"], tone[None], RATE_HZ)
    if picture:
        frames_THWC = np.zeros((frames, 64, 64, 3), np.uint8)
        for number in range(frames):
            frames_THWC[number, 16:48, number : number + 24] = (220, 40, 40)
        files["video"] = f"media/{name}.mp4"
        write_mp4(folder / files["video"], frames_THWC, tone[None], ClipConfig())
    named = {f"{kind}_path": path for kind, path in files.items()}
    return named | {f"{kind}_sha256": sha256_file(folder / path) for kind, path in files.items()}


def write_tables(folder: Path, records: Sequence[dict[str, Any]], *, recorded: bool = True) -> None:
    """The manifests of a curated folder; `recorded` adds what a curation leaves and a pull does not bring."""
    folder.mkdir(parents=True, exist_ok=True)
    write_clips(folder, records)
    if not recorded:
        return
    described = {
        row["src_id"]: Source(row["src_id"], row["src_path"], row["src_sha256"], 2048, None, "CC0-1.0", "")
        for row in records
    }
    ignored = [
        IgnoredFile("notes.txt", IgnoreReason.NOT_MEDIA),
        IgnoredFile("again.mp4", IgnoreReason.EXACT_DUPLICATE, "src-x"),
    ]
    write_sources(folder, list(described.values()), ignored)
    sections = {"curation": CurationConfig(), "speech": SpeechConfig(), "annotation": AnnotationConfig()}
    config = {name: identity_values(section) for name, section in sections.items()}
    counted = {"counts": count_statuses(records), "stage_versions": VERSIONS, "look_key": LOOK_KEY}
    write_json(folder / "curation.json", {"schema_version": 1, "config": config, "config_sha256": "f" * 64} | counted)
    write_json(folder / "curation-cost.json", {"cpu_s": {"integrity": 0.5, "captions": 0.25}, "worked": {"look": 4}})


def write_corpus(folder: Path) -> Path:
    """The whole folder, with media of the kept clips, and those of a dropped one in the curation's work."""
    records = rows()
    by_id = {row["clip_id"]: row for row in records}
    by_id[KEPT].update(write_media(folder, by_id[KEPT]))
    by_id[SOUND].update(write_media(folder, by_id[SOUND], picture=False))
    write_media(folder / ".work" / "units" / LOOK_KEY / by_id[COPY]["src_id"], by_id[COPY])
    thumbnail = folder / "thumbnails" / f"{KEPT}.jpg"
    write_thumbnail(thumbnail)
    by_id[KEPT]["thumbnail_path"] = f"thumbnails/{KEPT}.jpg"
    write_tables(folder, records)
    return folder


def write_thumbnail(path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (200, 30, 30)).save(path, "JPEG")


def validated(folder: Path, *, passed: bool = True, outdated: bool = False) -> None:
    """Leave a verdict of the data gate beside the clips."""
    rules = [RuleResult("every clip has a status", True), RuleResult("loud <b>enough</b>", passed, offending=[KEPT])]
    write_verdict(folder / "gate", GateVerdict("data", passed, rules), title="Data gate")
    moment = (folder / MANIFEST_NAME).stat().st_mtime + (-60 if outdated else 60)
    os.utime(folder / "gate" / "verdict.json", (moment, moment))
