"""The scores of a clip beside the bounds they were held against, by the configuration that its corpus records.

The filters themselves decide while curating; this is for looking. A test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from nava.artifacts.clip_manifest import ClipRow, Modality, Reason, TextCheck
from nava.console.curated_folder import CuratedFolder
from nava.pages.clip_page import ScoreCheck

Kind = Literal["at least", "at most"]
_FILTERS = ("curation", "filters")
_SUBSETS = ("curation", "subsets")
_NO_PICTURE = "sound alone has no picture"


@dataclass(frozen=True)
class ScoreRule:
    """A filter rule over one column.

    Attributes:
        column: of the manifest. label, unit: for people.
        setting: of `curation.filters`. kind: which side of it is right.
        reason: why a clip is dropped that is on the other side.
        pictures_only: the rule does not look at sound alone.
    """

    column: str
    label: str
    unit: str
    setting: str
    kind: Kind
    reason: Reason
    pictures_only: bool = True


# In the order of `FilterStage`: the first rule that speaks gives the reason.
SCORE_RULES = (
    ScoreRule("silence_ratio", "Silence", "share of time", "max_silence_ratio", "at most", Reason.SILENT, False),
    ScoreRule("lufs", "Loudness", "LUFS", "min_lufs", "at least", Reason.TOO_QUIET, False),
    ScoreRule("clip_ratio", "Clipping", "share of samples", "max_clip_ratio", "at most", Reason.CLIPPED_AUDIO, False),
    ScoreRule("exposure", "Exposure", "share of pixels", "min_exposure", "at least", Reason.BADLY_EXPOSED),
    ScoreRule("static_ratio", "Stillness", "share of steps", "max_static_ratio", "at most", Reason.STATIC_PICTURE),
    ScoreRule("sharpness", "Sharpness", "", "min_sharpness", "at least", Reason.BLURRED),
    ScoreRule("blockiness", "Blockiness", "", "max_blockiness", "at most", Reason.BLOCKY),
)
# Recorded for whoever moves a threshold or balances a corpus; no filter looks at them alone.
UNBOUND = {
    "av_conf": ("Confidence of the offset", ""),
    "motion": ("Motion", "luma steps"),
    "peak_db": ("Peak", "dBFS"),
    "speech_ratio": ("Speech", "share of time"),
    "packet_errors": ("Packet errors", "in the source"),
    "corrupt_frames": ("Corrupt frames", "in the source"),
}


def filter_checks(folder: CuratedFolder, row: ClipRow) -> list[ScoreCheck]:
    """Every rule of the filters over one record, in their order."""
    checks = [_score_check(folder, row, rule) for rule in SCORE_RULES]
    of_pictures = [_subtitle_check(folder, row), _offset_check(folder, row)]
    if row["modality"] == Modality.AUDIO:
        of_pictures = [replace(check, passed=None, note=_NO_PICTURE) for check in of_pictures]
    return [*checks, *of_pictures]


def unbound_scores(row: ClipRow) -> list[ScoreCheck]:
    """The scores that no filter looks at alone."""
    return [ScoreCheck(label, name, row[name], unit) for name, (label, unit) in UNBOUND.items()]


def duplicate_check(folder: CuratedFolder, row: ClipRow) -> ScoreCheck | None:
    """How near a dropped repetition is to its keeper; None for others: no cosine of a kept clip is recorded."""
    if row["dup_cosine"] is None:
        return None
    bound = folder.setting("curation", "duplicates", "min_cosine")
    note = "at and above the bound, and with frames and sound that agree, a clip repeats another"
    passed = None if bound is None else row["dup_cosine"] < bound
    return ScoreCheck(
        "Likeness to its keeper",
        "dup_cosine",
        row["dup_cosine"],
        "cosine",
        bound,
        "below",
        passed,
        "near_duplicate",
        note,
    )


def subset_checks(folder: CuratedFolder, row: ClipRow) -> list[ScoreCheck]:
    """What the subsets of stages 2 and 3 ask of a clip."""
    checks = [
        _bounded(folder, row, "lufs", "Loudness", "LUFS", "min_lufs", "at least", "good sound"),
        _bounded(
            folder, row, "silence_ratio", "Silence", "share of time", "max_silence_ratio", "at most", "good sound"
        ),
    ]
    if row["modality"] == Modality.AUDIO_VIDEO:
        checks.append(_bounded(folder, row, "sharpness", "Sharpness", "", "min_sharpness", "at least", "sharp"))
        checks += [_crop_check(row), *_synchrony_checks(folder, row)]
    return checks


def _crop_check(row: ClipRow) -> ScoreCheck:
    """Stage 3 wants whole pictures."""
    crop = row["crop"]
    cut = 1 - (crop["x1"] - crop["x0"]) * (crop["y1"] - crop["y0"]) if crop else 0.0
    return ScoreCheck("Cut away", "crop", cut, "share of the picture", 0, "at most", not crop, "whole picture")


def _synchrony_checks(folder: CuratedFolder, row: ClipRow) -> list[ScoreCheck]:
    """Stage 3 wants clips that are in sync as far as can be told, or several speakers: one of both is enough."""
    part = "in sync, or several speakers"
    sync = [
        _bounded(folder, row, "av_conf", "Confidence of the offset", "", "min_av_conf", "at least", part),
        _bounded(folder, row, "av_offset_s", "Offset", "s", "max_av_offset_s", "at most", part),
    ]
    count = row["speakers"]
    speakers = ScoreCheck("Speakers", "speakers", count, "", 2, "at least", (count or 0) >= 2, part)
    if speakers.passed:
        return [
            *(replace(one, passed=one.passed or None, note="not needed: several speakers") for one in sync),
            speakers,
        ]
    if all(one.passed for one in sync):
        return [*sync, replace(speakers, passed=None, note="not needed: in sync")]
    return [*sync, speakers]


def _bounded(
    folder: CuratedFolder, row: ClipRow, column: str, label: str, unit: str, setting: str, kind: Kind, part: str
) -> ScoreCheck:
    value, bound = row[column], folder.setting(*_SUBSETS, setting)
    size = abs(value) if column == "av_offset_s" and value is not None else value
    return ScoreCheck(label, column, value, unit, bound, kind, _holds(size, bound, kind), part)


def _holds(value: float | None, bound: float | None, kind: Kind) -> bool | None:
    """None where there is nothing to compare."""
    if value is None or bound is None:
        return None
    return value >= bound if kind == "at least" else value <= bound


def _score_check(folder: CuratedFolder, row: ClipRow, rule: ScoreRule) -> ScoreCheck:
    value, bound = row[rule.column], folder.setting(*_FILTERS, rule.setting)
    passed = _holds(value, bound, rule.kind)
    note = "" if value is not None else "not measured on this record"
    if rule.pictures_only and row["modality"] == Modality.AUDIO:
        passed, note = None, _NO_PICTURE
    return ScoreCheck(rule.label, rule.column, value, rule.unit, bound, rule.kind, passed, str(rule.reason), note)


def _subtitle_check(folder: CuratedFolder, row: ClipRow) -> ScoreCheck:
    from nava.data.curation.text import subtitle_boxes

    recorded, read = folder.setting("curation", "text"), row["ocr_boxes"]
    if read is None or recorded is None:
        note = "not looked for" if read is None else "the settings are not recorded"
        return _text_check(None, None, note)
    boxes = subtitle_boxes(row, _text_config(recorded))
    if row["text_check"] == TextCheck.NO_EDGES:
        return _text_check(0, True, "nothing in the bands looks like letters, so OCR was not needed")
    seen = ", ".join(f"“{box['text']}” at {box['time_s']:.1f} s (score {box['score']:.2f})" for box in boxes[:3])
    return _text_check(
        len(boxes), not boxes, seen or f"{len(read)} boxes read, none is a subtitle in what is kept of the picture"
    )


def _text_check(boxes: int | None, passed: bool | None, note: str) -> ScoreCheck:
    reason = str(Reason.SUBTITLE_TEXT)
    return ScoreCheck("Burnt-in text", "ocr_boxes", boxes, "boxes", 0, "at most", passed, reason, note)


def _text_config(recorded: dict[str, Any]) -> Any:
    """The recorded settings; those that this version does not know are left out."""
    from dataclasses import fields

    from nava.config.curation import TextConfig

    return TextConfig(**{item.name: recorded[item.name] for item in fields(TextConfig) if item.name in recorded})


def _offset_check(folder: CuratedFolder, row: ClipRow) -> ScoreCheck:
    offset_s, confidence = row["av_offset_s"], row["av_conf"]
    bound, trusted = (folder.setting(*_FILTERS, name) for name in ("max_av_offset_s", "min_av_conf"))
    passed, note = None, "not measured on this record"
    if offset_s is not None and bound is not None and trusted is not None:
        counts = confidence >= trusted
        passed = not counts or abs(offset_s) <= bound
        compared = f"confidence {confidence:.2f}, trusted from {trusted:.2f}"
        note = compared if counts else f"does not count: {compared}"
    return ScoreCheck(
        "Sound against picture",
        "av_offset_s",
        offset_s,
        "s",
        bound,
        "at most",
        passed,
        str(Reason.AUDIO_VIDEO_OFFSET),
        note,
    )
