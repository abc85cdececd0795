"""Columns that a suite can hold against a value, computed from several columns of the clip manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from nava.artifacts.clip_manifest import ClipRow, Modality
from nava.config.curation import CurationConfig
from nava.data.annotation.speech_denial import says_nobody_speaks
from nava.data.curation.subsets import STAGE1, STAGE2, STAGE3
from nava.data.curation.subtitles import subtitle_boxes
from nava.data.speech.audio_tags import AudioTag

SPEECH_START = "<S>"
_CLOCK_S = 1e-3  # a span's times are single precision
_FRAME_US = 1_000_000 / 24


def with_derived_columns(manifest: pd.DataFrame, curation: CurationConfig) -> pd.DataFrame:
    """The manifest with the columns that its suites look at."""
    rows = manifest.to_dict("records")
    columns: dict[str, Callable[[ClipRow], Any]] = {
        "size": lambda row: f"{row['width']:.0f}x{row['height']:.0f}" if _has(row["width"]) else None,
        "outside_scene": _outside_scene,
        "samples_off": lambda row: _samples_off(row, curation),
        "duration_off_s": _duration_off,
        "subtitles_left": lambda row: len(subtitle_boxes(_plain(row), curation.text)),
        "crop_outside": _crop_outside,
        "foreign_audio_tags": lambda row: len(set(_list(row["audio_tags"])) - {str(tag) for tag in AudioTag}),
        "speaker_tags_off": _speaker_tags_off,
        "spans_outside": _spans_outside,
        "spans_without_recognition": lambda row: len(_list(row["speech"])) if row["asr_backend"] == "none" else 0,
        "spans_off": _spans_off,
        "silent_caption_with_span": _silent_with_span,
        "foreign_subsets": lambda row: len(set(_list(row["subsets"])) - {STAGE1, STAGE2, STAGE3}),
    }
    derived = {name: [compute(row) for row in rows] for name, compute in columns.items()}
    derived["overlaps_scene_before"] = _scene_overlaps(rows)
    return manifest.assign(**derived)


def _has(value: Any) -> bool:
    """Whether a scalar of a frame is there: pandas has several ways to say that it is not."""
    return value is not None and not (isinstance(value, float) and value != value) and value is not pd.NA


def _list(value: Any) -> list[Any]:
    return list(value) if value is not None and hasattr(value, "__iter__") else []


def _plain(row: ClipRow) -> ClipRow:
    return {"crop": row["crop"] if isinstance(row["crop"], dict) else None, "ocr_boxes": _list(row["ocr_boxes"])}


def _outside_scene(row: ClipRow) -> int:
    """Half a frame is what a container's clock rounds by."""
    if not all(_has(row[name]) for name in ("t0_us", "t1_us", "scene_t0_us", "scene_t1_us")):
        return 0
    early = row["t0_us"] < row["scene_t0_us"] - _FRAME_US / 2
    return int(early or row["t1_us"] > row["scene_t1_us"] + _FRAME_US / 2)


def _samples_off(row: ClipRow, curation: CurationConfig) -> int:
    """Difference of both sounds from the exact length, in samples of the model's rate and of the kept one."""
    clip = curation.clip
    allowed = [clip.samples_16k(frames) for frames in clip.frame_counts]
    if not _has(row["n_samples_16k"]):
        return 0
    if row["modality"] == Modality.AUDIO_VIDEO and _has(row["n_frames"]):
        allowed = [clip.samples_16k(int(row["n_frames"]))]
    off = min(abs(int(row["n_samples_16k"]) - samples) for samples in allowed)
    kept = int(row["n_samples_48k"]) if _has(row["n_samples_48k"]) else 0
    return off + abs(kept * clip.sample_rate_hz - int(row["n_samples_16k"]) * clip.kept_sample_rate_hz)


def _duration_off(row: ClipRow) -> float | None:
    if not (_has(row["n_frames"]) and _has(row["fps"]) and _has(row["duration_s"])):
        return None
    return abs(row["n_frames"] / row["fps"] - row["duration_s"])


def _crop_outside(row: ClipRow) -> int:
    crop = row["crop"]
    if not isinstance(crop, dict):
        return 0
    return int(not (0 <= crop["x0"] < crop["x1"] <= 1 and 0 <= crop["y0"] < crop["y1"] <= 1))


def _speaker_tags_off(row: ClipRow) -> int:
    if not _has(row["speakers"]):
        return 0
    return int((str(AudioTag.SINGLE_SPEAKER) in _list(row["audio_tags"])) != (row["speakers"] == 1))


def _spans_outside(row: ClipRow) -> int:
    if not _has(row["duration_s"]):
        return 0
    spans = _list(row["speech"])
    return sum(not (-_CLOCK_S <= span["t0_s"] < span["t1_s"] <= row["duration_s"] + _CLOCK_S) for span in spans)


def _spans_off(row: ClipRow) -> int:
    caption = row["caption"] if isinstance(row["caption"], str) else ""
    return abs(caption.count(SPEECH_START) - len(_list(row["speech"])))


def _silent_with_span(row: ClipRow) -> int:
    texts = [row[name] for name in ("caption", "prompt") if isinstance(row[name], str)]
    return sum(SPEECH_START in text and says_nobody_speaks(text) for text in texts)


def _scene_overlaps(rows: list[ClipRow]) -> list[int]:
    """1 for a record whose scene begins before the one before it in the same source has ended."""
    spans: dict[tuple[str, int], tuple[float, float]] = {}
    for row in rows:
        if _has(row["scene"]) and _has(row["scene_t0_us"]):
            spans[row["src_id"], int(row["scene"])] = (row["scene_t0_us"], row["scene_t1_us"])
    overlaps = []
    for row in rows:
        before = spans.get((row["src_id"], int(row["scene"]) - 1)) if _has(row["scene"]) else None
        overlaps.append(int(before is not None and row["scene_t0_us"] < before[1] - _FRAME_US / 2))
    return overlaps
