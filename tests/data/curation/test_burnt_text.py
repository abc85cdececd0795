"""Burnt-in text: the cheap look, the cap, and the reading."""

import numpy as np
import pytest
from nava.data.curation.burnt_text import TextStage, text_edge_share
from PIL import Image, ImageDraw, ImageFont

from nava.artifacts.clip_manifest import TextCheck
from nava.config.curation import TextConfig
from nava.data.curation.decoding import Still

TEXT = "The kettle is on the stove"


def still(text="", where=0.88, size=(240, 320), time_s=0.0):
    height, width = size
    ramp = np.broadcast_to(np.linspace(20, 120, width), (height, width)).astype(np.uint8)
    image = Image.fromarray(ramp)
    if text:
        font = ImageFont.load_default(max(9, height // 15))
        ImageDraw.Draw(image).text((width // 2, int(where * height)), text, font=font, fill=255, anchor="mm")
    return Still(time_s, np.array(image))


@pytest.fixture(scope="module")
def stage():
    return TextStage(TextConfig())


@pytest.mark.parametrize("size", [(240, 320), (128, 160), (180, 320)])
def test_subtitles_are_read(stage, size):
    (finding,) = stage.process([[still(TEXT, size=size)]])
    assert finding.check is TextCheck.READ
    read = "".join(box.text for box in finding.boxes).lower().replace(" ", "")
    assert read == TEXT.lower().replace(" ", "")


def test_boxes_are_shares_of_the_whole_picture(stage):
    (low,), (high,) = (stage.process([[still(TEXT, where)]])[0].boxes for where in (0.88, 0.07))
    assert low.y0 < 0.88 < low.y1
    assert high.y0 < 0.07 < high.y1
    assert low.x0 < 0.5 < low.x1


def test_text_in_the_middle_of_the_scene_is_left_alone(stage):
    (finding,) = stage.process([[still(TEXT, where=0.4)]])
    assert finding.check is TextCheck.NO_EDGES


def test_plain_pictures_cost_no_reading():
    stage = TextStage(TextConfig())
    bar = still()
    bar.luma_HW[100:220, 30:100] = 240
    findings = stage.process([[still()], [bar]])
    assert [finding.check for finding in findings] == [TextCheck.NO_EDGES] * 2
    assert stage._reader is None


def test_the_cap_counts_what_was_not_checked():
    stage = TextStage(TextConfig(frames_per_source=1))
    findings = stage.process([[still("Nobody saw it")], [still(TEXT)], [still()]])
    assert [finding.check for finding in findings] == [TextCheck.NOT_CHECKED, TextCheck.READ, TextCheck.NO_EDGES]


def test_a_shot_without_stills_is_not_checked(stage):
    assert stage.process([[]])[0].check is TextCheck.NOT_CHECKED


def test_text_that_shows_for_a_part_of_the_shot_is_found(stage):
    (finding,) = stage.process([[still(), still(TEXT, time_s=0.5), still(time_s=1.0)]])
    assert finding.check is TextCheck.READ
    assert finding.boxes


def test_edge_share_of_letters_and_of_things():
    letters = still(TEXT).luma_HW[156:]
    thing = np.full((84, 320), 20, np.uint8)
    thing[:, 100:200] = 230
    assert text_edge_share(letters) > 0.2
    assert text_edge_share(thing) == 0.0
    assert text_edge_share(np.zeros((3, 3), np.uint8)) == 0.0
