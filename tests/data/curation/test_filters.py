"""Filters: which score leads to which reason."""

from pathlib import Path

import pytest

from nava.artifacts.clip_manifest import Reason
from nava.artifacts.source_manifest import Source
from nava.config.curation import FilterConfig, TextConfig
from nava.data.curation.filters import FilterStage
from nava.data.curation.stage import Clip, SourceTask

GOOD = {
    "modality": "av",
    "duration_s": 2.04,
    "silence_ratio": 0.1,
    "lufs": -20.0,
    "clip_ratio": 0.0,
    "static_ratio": 0.3,
    "exposure": 0.9,
    "sharpness": 20.0,
    "blockiness": 1.1,
    "ocr_boxes": [],
    "crop": None,
    "av_offset_s": 0.0,
    "av_conf": 0.6,
}
SUBTITLE = {"text": "Look over here", "score": 0.9, "x0": 0.2, "y0": 0.88, "x1": 0.8, "y1": 0.94, "time_s": 0.5}


@pytest.fixture
def stage():
    return FilterStage(FilterConfig(), TextConfig())


def test_a_good_clip_passes(stage):
    assert stage.decide(GOOD) is None


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"silence_ratio": 1.0, "lufs": -120.0}, Reason.SILENT),
        ({"lufs": -56.0}, Reason.TOO_QUIET),
        ({"clip_ratio": 0.05}, Reason.CLIPPED_AUDIO),
        ({"exposure": 0.01}, Reason.BADLY_EXPOSED),
        ({"static_ratio": 1.0}, Reason.STATIC_PICTURE),
        ({"sharpness": 1.8}, Reason.BLURRED),
        ({"blockiness": 7.0}, Reason.BLOCKY),
        ({"ocr_boxes": [SUBTITLE]}, Reason.SUBTITLE_TEXT),
        ({"av_offset_s": 0.3}, Reason.AUDIO_VIDEO_OFFSET),
        ({"av_offset_s": -0.3}, Reason.AUDIO_VIDEO_OFFSET),
    ],
)
def test_each_defect_has_its_reason_and_a_detail(stage, scores, reason):
    decision = stage.decide(GOOD | scores)
    assert decision.reason is reason
    assert decision.detail


@pytest.mark.parametrize(
    "scores",
    [
        {"av_offset_s": 0.7, "av_conf": 0.1},  # nothing is known about the offset
        {"av_offset_s": None, "av_conf": None},
        {"av_offset_s": 0.1},
        {"ocr_boxes": [SUBTITLE | {"text": "O0"}]},
        {"ocr_boxes": [SUBTITLE], "crop": {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 0.86}},  # it was cut away
        {"ocr_boxes": None},
        {"sharpness": None},
        {"blockiness": None},
        {"exposure": None},
    ],
)
def test_what_is_not_sure_is_no_reason(stage, scores):
    assert stage.decide(GOOD | scores) is None


def test_the_grossest_defect_speaks_first(stage):
    assert stage.decide(GOOD | {"silence_ratio": 1.0, "static_ratio": 1.0, "sharpness": 0.0}).reason is Reason.SILENT


def test_sound_alone_is_judged_by_its_sound(stage):
    alone = {name: GOOD[name] for name in ("silence_ratio", "lufs", "clip_ratio")} | {"modality": "audio"}
    assert stage.decide(alone) is None
    assert stage.decide(alone | {"lufs": -60.0}).reason is Reason.TOO_QUIET


def test_thresholds_are_settings():
    lenient = FilterStage(FilterConfig(min_lufs=-60.0), TextConfig(min_characters=20, min_lone_characters=20))
    assert lenient.decide(GOOD | {"lufs": -56.0}) is None
    assert lenient.decide(GOOD | {"ocr_boxes": [SUBTITLE]}) is None


def test_clips_are_closed_once(stage):
    """What an earlier stage decided stands; what passes stays open."""
    rows = [dict(GOOD), GOOD | {"lufs": -56.0}, GOOD | {"lufs": -56.0, "status": "dropped", "drop_reason": "too_short"}]
    clips = [Clip(row | {"clip_id": str(number)}) for number, row in enumerate(rows)]
    source = Source("s", "a.mp4", "0" * 64, 1, None, "", "")
    stage.process([SourceTask(source, "", Path(), clips=clips)])
    assert [clip.row.get("drop_reason") for clip in clips] == [None, "too_quiet", "too_short"]
    assert clips[1].row["stage"] == "filters"
