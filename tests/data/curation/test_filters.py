"""Filters: which score leads to which reason."""

import pytest

from nava.artifacts.clip_manifest import Reason
from nava.config.curation import FilterConfig
from nava.data.curation.filters import FilterStage

GOOD = {
    "modality": "av",
    "silence_ratio": 0.1,
    "lufs": -20.0,
    "clip_ratio": 0.0,
    "static_ratio": 0.3,
    "sharpness": 20.0,
    "text_boxes": [],
    "av_offset_s": 0.0,
    "av_confidence": 0.6,
}
SUBTITLE = {"text": "Look here", "score": 0.9}


@pytest.fixture
def stage():
    return FilterStage(FilterConfig())


def test_a_good_clip_passes(stage):
    assert stage.process(GOOD) is None


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"silence_ratio": 1.0, "lufs": -120.0}, Reason.SILENT),
        ({"lufs": -56.0}, Reason.TOO_QUIET),
        ({"clip_ratio": 0.05}, Reason.CLIPPED_AUDIO),
        ({"static_ratio": 1.0}, Reason.STATIC_PICTURE),
        ({"sharpness": 1.8}, Reason.BLURRED),
        ({"text_boxes": [SUBTITLE]}, Reason.BURNT_IN_TEXT),
        ({"av_offset_s": 0.3}, Reason.AUDIO_VIDEO_OFFSET),
        ({"av_offset_s": -0.3}, Reason.AUDIO_VIDEO_OFFSET),
    ],
)
def test_each_defect_has_its_reason_and_a_detail(stage, scores, reason):
    decision = stage.process(GOOD | scores)
    assert decision.reason is reason
    assert decision.detail


@pytest.mark.parametrize(
    "scores",
    [
        {"av_offset_s": 0.7, "av_confidence": 0.1},  # nothing is known about the offset
        {"av_offset_s": None, "av_confidence": None},
        {"av_offset_s": 0.1},
        {"text_boxes": [{"text": "O0", "score": 0.99}]},  # the recogniser sees letters in round things
        {"text_boxes": [{"text": "Look here", "score": 0.3}]},
        {"text_boxes": [{"text": "----!!", "score": 0.9}]},
        {"text_boxes": None},
        {"sharpness": None},
    ],
)
def test_what_is_not_sure_is_no_reason(stage, scores):
    assert stage.process(GOOD | scores) is None


def test_the_grossest_defect_speaks_first(stage):
    assert stage.process(GOOD | {"silence_ratio": 1.0, "static_ratio": 1.0, "sharpness": 0.0}).reason is Reason.SILENT


def test_sound_alone_is_judged_by_its_sound(stage):
    alone = {name: GOOD[name] for name in ("silence_ratio", "lufs", "clip_ratio")} | {"modality": "audio"}
    assert stage.process(alone) is None
    assert stage.process(alone | {"lufs": -60.0}).reason is Reason.TOO_QUIET


def test_thresholds_are_settings():
    assert FilterStage(FilterConfig(min_lufs=-60.0)).process(GOOD | {"lufs": -56.0}) is None
