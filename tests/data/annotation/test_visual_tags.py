"""Visual tags: rules claim what is measured, models choose from a list."""

import numpy as np
import pytest

from nava.data.annotation.endpoint import AnswerError
from nava.data.annotation.instructions import VISUAL_TAGS
from nava.data.annotation.picture_observation import PictureKind, observe_picture
from nava.data.annotation.visual_tags import RULE_TAGS, RuleTagger, read_tags
from tests.data.annotation.kept_clips import task_of, write_clip


def tags(folder, frames_THWC, **row):
    clip = write_clip(folder, frames_THWC=frames_THWC, **row)
    return RuleTagger().tags(task_of(folder, clip), clip)


def flat(luma):
    return np.full((49, 64, 64, 3), luma, np.uint8)


def mouth():
    """A dark spot that opens and closes on a bright face."""
    frames = flat(120)
    height = np.round(4 + 4 * np.sin(np.arange(49) * 1.3)).astype(int)
    for number, half in enumerate(height):
        frames[number, 40 - half : 40 + half, 26:38] = 20
    return frames


@pytest.mark.parametrize(
    ("luma", "static_ratio", "expected"),
    [
        (20, 1.0, ["still", "dark"]),
        (230, 0.0, ["moving", "bright"]),
        (120, 0.7, []),
        (120, None, []),
        (120, 0.9, ["still"]),
        (120, 0.5, ["moving"]),
    ],
)
def test_light_and_movement_as_measured(tmp_path, luma, static_ratio, expected):
    assert tags(tmp_path, flat(luma), static_ratio=static_ratio) == expected


SPEAKS = {"speakers": 1, "speech_ratio": 0.6, "av_conf": 0.5, "av_offset_s": 0.04}


def test_one_mouth_that_moves_with_one_voice_is_a_talking_head(tmp_path):
    assert observe_picture(mouth()).kind is PictureKind.MOUTH
    assert tags(tmp_path, mouth(), **SPEAKS) == ["talking_head"]


@pytest.mark.parametrize(
    "changed",
    [
        {"speakers": 0},
        {"speakers": 2},
        {"speakers": None},
        {"speech_ratio": 0.1},
        {"speech_ratio": None},
        {"av_conf": 0.1},
        {"av_conf": None},
        {"av_offset_s": None},
        {"av_offset_s": -0.4},
    ],
)
def test_what_was_not_measured_is_not_claimed(tmp_path, changed):
    assert tags(tmp_path, mouth(), **(SPEAKS | changed)) == []


def test_speech_over_another_picture_is_no_talking_head(tmp_path):
    assert tags(tmp_path, flat(120), **SPEAKS) == []


def test_rules_never_claim_a_genre():
    assert not set(RULE_TAGS) & set(VISUAL_TAGS)


def test_a_models_tags_each_once_in_the_order_of_the_list():
    assert read_tags({"tags": ["interview", "movie", "interview"]}) == ["movie", "interview"]
    assert read_tags({"tags": []}) == []


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"tags": ["cartoon", "movie"]}, "outside the list: cartoon"),
        ({"tags": "movie"}, "no list of tags"),
        ({"tags": [1]}, "no list of tags"),
        ({}, "no list of tags"),
        (None, "no list of tags"),
    ],
)
def test_answers_outside_the_list(answer, problem):
    with pytest.raises(AnswerError, match=problem):
        read_tags(answer)
