"""Burnt-in text: the cheap look, the reading, lines told from signs, and what is cut away."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from nava.artifacts.clip_manifest import TextCheck
from nava.config.curation import ClipConfig, CurationConfig, IntegrityConfig, TextConfig
from nava.data.curation.decoding import Still
from nava.data.curation.subtitles import crop_without, is_croppable, subtitle_boxes
from nava.data.curation.text import WHOLE, TextStage, text_edge_share
from nava.data.curation.text_readers import PaddleOcrReader, make_reader
from nava.runtime.errors import InputError

TEXT = "The kettle is on the stove"


def still(text="", where=0.92, size=(240, 320), time_s=0.0, share=1 / 15, centre=0.5):
    height, width = size
    ramp = np.broadcast_to(np.linspace(20, 120, width), (height, width)).astype(np.uint8)
    image = Image.fromarray(ramp)
    if text:
        font = ImageFont.load_default(max(9, round(height * share)))
        place = (round(width * centre), round(where * height))
        ImageDraw.Draw(image).text(place, text, font=font, fill=255, anchor="mm")
    return Still(time_s, np.array(image))


def stage_of(**changes):
    return TextStage(ClipConfig(), IntegrityConfig(), TextConfig(**changes))


@pytest.fixture(scope="module")
def stage():
    return stage_of()


class CountingReader:
    """Reads nothing, and counts how often it was asked."""

    name, proven = "counting", False

    def __init__(self):
        self.asked = 0

    def read(self, luma_HW):
        self.asked += 1
        return []


def row_of(stage, stills, **columns):
    return {"duration_s": 2.0, "width": 64, "height": 64, **columns} | stage.columns(stills)


@pytest.mark.parametrize("size", [(240, 320), (128, 160), (360, 202)])
def test_subtitles_are_read(stage, size):
    text = "The kettle" if size[1] < 240 else TEXT
    row = row_of(stage, [still(text, size=size)])
    assert row["text_check"] == TextCheck.READ
    read = "".join(box["text"] for box in row["ocr_boxes"]).lower().replace(" ", "")
    assert read == text.lower().replace(" ", "")


@pytest.mark.parametrize("share", [0.05, 0.1, 0.14])
def test_letters_of_any_size_pass_the_cheap_look(share):
    letters = still("Wait for me", where=0.85, size=(360, 640), share=share).luma_HW[234:]
    assert text_edge_share(letters) >= TextConfig().min_edge_share


def test_edge_share_of_things_is_nothing():
    thing = np.full((84, 320), 20, np.uint8)
    thing[:, 100:200] = 230
    assert text_edge_share(thing) == 0.0
    assert text_edge_share(np.zeros((3, 3), np.uint8)) == 0.0


def test_boxes_are_shares_of_the_whole_picture(stage):
    (low,), (high,) = (row_of(stage, [still(TEXT, where)])["ocr_boxes"] for where in (0.88, 0.07))
    assert low["y0"] < 0.88 < low["y1"]
    assert high["y0"] < 0.07 < high["y1"]
    assert low["x0"] < 0.5 < low["x1"]


def test_text_in_the_middle_of_the_scene_is_left_alone(stage):
    assert row_of(stage, [still(TEXT, where=0.4)])["text_check"] == TextCheck.NO_EDGES


def test_plain_pictures_cost_no_reading():
    stage = stage_of()
    bar = still()
    bar.luma_HW[100:220, 30:100] = 240
    assert [row_of(stage, [one])["text_check"] for one in (still(), bar)] == [TextCheck.NO_EDGES] * 2
    assert stage._reader is None


def test_a_clip_without_stills_is_not_checked(stage):
    assert row_of(stage, [])["text_check"] == TextCheck.NOT_CHECKED


def test_a_band_that_looks_as_before_is_not_read_again():
    stage = stage_of()
    stage._reader = CountingReader()
    stage.columns([still(TEXT, time_s=time_s) for time_s in (0.0, 0.5, 1.0)])
    assert stage._reader.asked == 1
    stage.columns([still(TEXT), still("Another line here", time_s=0.5)])
    assert stage._reader.asked == 3


def test_a_line_that_stays_is_recorded_at_every_time(stage):
    boxes = row_of(stage, [still(TEXT, time_s=time_s) for time_s in (0.0, 0.5, 1.0)])["ocr_boxes"]
    assert [box["time_s"] for box in boxes] == [0.0, 0.5, 1.0]


def test_no_more_frames_are_read_than_allowed():
    stage = stage_of(frames_per_clip=2)
    stage._reader = CountingReader()
    texts = ("First of all lines", "Second of all lines", "Third of all lines", "Fourth of all lines")
    stage.columns([still(text, time_s=float(number)) for number, text in enumerate(texts)])
    assert stage._reader.asked == 2


def test_an_unproven_reader_is_recorded_as_such():
    stage = stage_of()
    stage._reader = CountingReader()
    assert stage.columns([still(TEXT)])["text_backend"] == "counting (unproven)"


def box_of(text=TEXT, **changes):
    place = {"x0": 0.2, "y0": 0.88, "x1": 0.8, "y1": 0.94}
    return {**place, "text": text, "score": 0.95, "time_s": 0.0} | changes


def is_subtitled(*boxes, crop=None, duration_s=2.0, **changes):
    row = {"ocr_boxes": list(boxes), "crop": crop, "duration_s": duration_s}
    return bool(subtitle_boxes(row, TextConfig(**changes)))


def test_a_long_line_is_a_subtitle_even_in_one_still():
    assert is_subtitled(box_of())


def test_a_short_line_must_stay_in_its_band():
    assert not is_subtitled(box_of("Come on"))
    assert is_subtitled(box_of("Come on"), box_of("Stop it", time_s=0.5))
    assert not is_subtitled(box_of("Come on"), box_of("Stop it", time_s=0.5, y0=0.02, y1=0.08))
    assert is_subtitled(box_of("Come on"), duration_s=0.8)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "O0"},  # the recogniser sees letters in round things
        {"text": "----!!"},
        {"text": "11 1 11 1 11"},  # and in streaks of rain
        {"score": 0.3},
        {"x0": 0.02, "x1": 0.2},  # a mark in a corner
        {"x0": 0.8, "x1": 0.98},
        {"y0": 0.65, "y1": 1.0},  # a thing as high as the band
    ],
)
def test_other_text_says_nothing(changes):
    assert not is_subtitled(box_of(**changes), box_of(**changes, time_s=0.5))


def test_a_line_as_wide_as_half_the_picture_may_stand_off_centre():
    assert is_subtitled(box_of(x0=0.02, x1=0.5))


def test_text_outside_what_is_kept_does_not_count():
    assert not is_subtitled(box_of(), crop=WHOLE | {"y1": 0.86})
    assert is_subtitled(box_of(), crop=WHOLE | {"y1": 0.9})


def test_records_without_text_have_no_subtitles():
    assert subtitle_boxes({"ocr_boxes": None}, TextConfig()) == []


def test_the_cut_takes_the_line_and_what_touches_it():
    low, high = box_of(), box_of(y0=0.03, y1=0.08)
    kept = crop_without([low, high], [low, high], WHOLE)
    assert kept["y0"] > 0.08
    assert kept["y1"] < 0.88
    tail = box_of("go", y0=0.83, y1=0.89, time_s=0.5)
    assert crop_without([low, tail], [low], WHOLE)["y1"] < 0.83
    sign = box_of("EXIT", y0=0.70, y1=0.75)
    assert crop_without([low, sign], [low], WHOLE)["y1"] > 0.75


def test_a_picture_is_cut_only_where_enough_is_left():
    config = TextConfig(max_crop_share=0.15, max_enlargement=1.0)
    narrow, wide = WHOLE | {"y1": 0.86}, WHOLE | {"y1": 0.8}
    assert is_croppable(narrow, WHOLE, (640, 360), (64, 64), config)
    assert not is_croppable(wide, WHOLE, (640, 360), (64, 64), config)
    assert not is_croppable(narrow, WHOLE, (640, 360), (640, 352), config)
    inside = WHOLE | {"y0": 0.1, "y1": 0.9}
    assert not is_croppable(inside | {"y1": 0.75}, inside, (640, 360), (64, 64), config)  # of the picture in its bars


def crop(stage, stills, **columns):
    row = row_of(stage, stills, **columns)
    height, width = stills[0].luma_HW.shape
    stage._crop(row, stills, (width, height))
    return row


def test_a_low_line_is_cut_away_and_the_clip_is_free_of_it(stage):
    row = crop(stage, [still(TEXT, time_s=time_s) for time_s in (0.0, 0.5)])
    assert 0.8 < row["crop"]["y1"] < 0.89
    assert subtitle_boxes(row, TextConfig()) == []


def test_a_high_band_is_not_cut(stage):
    row = crop(stage, [still(TEXT, where=0.75)])
    assert row.get("crop") is None
    assert subtitle_boxes(row, TextConfig())


def test_text_left_after_the_cut_takes_the_cut_back():
    """The line above was not read at first; it is read in the cropped picture."""
    stage = stage_of()
    stage._reader = HalfBlindReader(make_reader(TextConfig()))
    two = still(TEXT, where=0.93)
    two.luma_HW[:] = np.maximum(two.luma_HW, still(TEXT, where=0.8).luma_HW)
    row = crop(stage, [two])
    assert len(subtitle_boxes(row, TextConfig())) == 1
    assert row.get("crop") is None


class HalfBlindReader:
    """Overlooks, the first time, what is not in the lowest third of what it is shown."""

    name, proven = "half blind", False

    def __init__(self, reader):
        self.reader, self.first = reader, True

    def read(self, luma_HW):
        found = self.reader.read(luma_HW)
        if self.first:
            found = [one for one in found if one[0][:, 1].min() > luma_HW.shape[0] * 0.6]
        self.first = False
        return found


def test_paddle_models_run_from_a_folder(tmp_path):
    """The models inside rapidocr's wheel are PP-OCR's: they stand for the operator's."""
    import rapidocr

    models = Path(rapidocr.__file__).parent / "models"
    for kind in ("det", "rec"):
        shutil.copy(next(models.glob(f"PP-OCR*_{kind}_*.onnx")), tmp_path / f"{kind}.onnx")
    reader = make_reader(TextConfig(backend="paddleocr", weights=str(tmp_path)))
    assert not reader.proven
    assert "".join(text for _, text, _ in reader.read(still(TEXT).luma_HW[180:])).replace(" ", "") == TEXT.replace(
        " ", ""
    )


def test_missing_and_foreign_models_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"det\.onnx is missing"):
        PaddleOcrReader(tmp_path)
    for kind in ("det", "rec"):
        (tmp_path / f"{kind}.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match="holds no PP-OCR models"):
        PaddleOcrReader(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"backend": "tesseract"}, "curation.text.backend"), ({"backend": "paddleocr"}, "curation.text.weights")],
)
def test_the_backend_is_checked(changes, message):
    config = CurationConfig(text=TextConfig(**changes))
    with pytest.raises(InputError, match=message):
        config.check()
