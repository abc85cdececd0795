"""Burnt-in text lies where and when its label says, in every style."""

from fractions import Fraction

import numpy as np
import pytest

from nava.data.synthetic import subtitles
from nava.data.synthetic.files import Film
from nava.data.synthetic.labels import FileLabel, ShotLabel, UtteranceLabel
from nava.data.synthetic.speech import SENTENCES
from nava.data.synthetic.subtitles import STYLES, Style, burn
from nava.runtime.errors import InputError

FPS, SHOT_FRAMES = 10, 30


def film_and_label(height=240, width=400, said=("Only to the shop.",)):
    frames = np.full((2 * SHOT_FRAMES, height, width, 3), 90, np.uint8)
    film = Film(frames, Fraction(FPS), None, 48_000)
    shots = [ShotLabel("talk", 3.0 * i, 3.0 * (i + 1), SHOT_FRAMES * i, SHOT_FRAMES * (i + 1)) for i in range(2)]
    label = FileLabel("video/c0000.mp4", "video", width=width, height=height, shots=shots)
    label.transcript = [UtteranceLabel("Ada", "en-us", 0.2 + i, 1.0 + i, text, []) for i, text in enumerate(said)]
    return film, label


def burnt(style, **size):
    film, label = film_and_label(**size)
    return burn(film, label, style, np.random.default_rng(0)).frames_THWC, label


def changed_box(frame):
    rows, columns = np.nonzero((frame != 90).any(axis=2))
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize(("height", "width"), [(240, 400), (400, 240)])
def test_text_stands_in_its_box_while_it_should_and_at_no_other_time(style, height, width):
    frames, label = burnt(style, height=height, width=width)
    assert label.detail == style.name
    assert label.subtitles
    for number, frame in list(enumerate(frames))[::2]:
        seen = [part for part in label.subtitles if part.start_s - 1e-6 <= number / FPS < part.end_s - 1e-6]
        assert len(seen) <= 1
        box = changed_box(frame)
        if not seen:
            assert box is None
        else:
            assert all(abs(drawn - told) <= 1 for drawn, told in zip(box, seen[0].box, strict=True))


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_text_lies_inside_the_picture_and_in_its_band(style):
    _, label = burnt(style)
    for part in label.subtitles:
        left, top, right, bottom = part.box
        assert 0 <= left < right <= label.width
        assert 0 <= top < bottom <= label.height
        if style.bottom < 0.5:
            assert top < 0.15 * label.height
        else:
            assert bottom > 0.65 * label.height


def test_both_bands_every_timing_and_boxes_occur():
    assert {style.bottom < 0.5 for style in STYLES} == {True, False}
    assert {style.timing for style in STYLES} == {"persistent", "partial", "lines", "words", "karaoke"}
    assert {style.length for style in STYLES} == {"spoken", "short", "long"}
    assert len({style.font for style in STYLES}) >= 5
    assert len({style.name for style in STYLES}) == len(STYLES)
    assert any(style.backdrop[3] for style in STYLES)


def test_what_is_said_is_written_and_where_nobody_speaks_a_sentence():
    _, label = burnt(STYLES[0])
    assert [part.text for part in label.subtitles] == ["Only to the shop.", label.subtitles[1].text]
    assert label.subtitles[1].text in SENTENCES


def test_persistent_text_stands_for_the_whole_shot_and_partial_text_does_not():
    _, whole = burnt(Style("whole"))
    _, part = burnt(Style("part", timing="partial"))
    assert [(text.start_s, text.end_s) for text in whole.subtitles] == [(0.0, 3.0), (3.0, 6.0)]
    assert [(text.start_s, text.end_s) for text in part.subtitles] == [(0.75, 2.4), (3.75, 5.4)]


def test_changing_lines_say_the_same_words_a_few_at_a_time():
    _, label = burnt(Style("few", timing="words"))
    first = [part.text for part in label.subtitles if part.end_s <= 3.0]
    assert first == ["Only to", "the shop."]
    assert label.subtitles[0].end_s < label.subtitles[1].start_s


def test_karaoke_colours_word_after_word_of_one_subtitle():
    frames, label = burnt(Style("sung", timing="karaoke"))
    assert len(label.subtitles) == 2
    left, top, right, bottom = label.subtitles[0].box
    text = frames[:SHOT_FRAMES, top:bottom, left:right].astype(int)
    yellow = ((text[..., 0] > 200) & (text[..., 2] < 120)).sum(axis=(1, 2))
    assert (np.diff(yellow) >= 0).all()
    assert yellow[0] > 0
    assert yellow[-1] > 3 * yellow[0]


def test_long_text_is_wrapped_into_rows():
    film, label = film_and_label(width=200, said=())
    burn(film, label, Style("long", length="long"), np.random.default_rng(0))
    _, top, _, bottom = label.subtitles[0].box
    assert bottom - top > 2 * 0.065 * label.height


def test_the_picture_outside_the_text_is_left_alone():
    film, label = film_and_label()
    before = film.frames_THWC.copy()
    frames = burn(film, label, STYLES[0], np.random.default_rng(0)).frames_THWC
    np.testing.assert_array_equal(film.frames_THWC, before)
    left, top, right, bottom = label.subtitles[0].box
    outside = np.ones(frames.shape[1:3], bool)
    outside[top:bottom, left:right] = False
    assert (frames[0][outside] == 90).all()


def test_fonts_that_are_not_there_are_named(monkeypatch):
    subtitles.load_font.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="fonts of matplotlib"):
        subtitles.load_font("DejaVuSans.ttf", 20)
    assert subtitles.load_font("default", 20)
