"""The rule-based captioner: right words for what the generator drew, without ever seeing its labels."""

import re
from fractions import Fraction

import numpy as np
import pytest

from nava.config.curation import ClipConfig, CutConfig, DecodeConfig
from nava.data.curation.captions import CaptionStage, describe
from nava.data.curation.cuts import CutStage
from nava.data.curation.decoding import DecodeStage
from nava.data.curation.picture_observation import PictureKind, PictureObservation
from nava.data.curation.sound_observation import SoundKind, SoundObservation
from nava.data.curation.transcript import Utterance, Word
from nava.data.curation.windows import Window, WindowStage
from nava.data.synthetic.drawing import Stage
from nava.data.synthetic.files import Film, write_mp4
from nava.data.synthetic.plan import ShotPlan
from nava.data.synthetic.shots import render_shot
from tests.data.curation.conftest import RATE_HZ, draw_flash

STAGE = CaptionStage(RATE_HZ)
SPANS = re.compile(r"^(?:(?!<[SE]>).|<S>(?:(?!<[SE]>).)*<E>)*$")
PITCHES = {300: "low", 720: "middle", 1700: "high"}


def flash_window():
    frames, audio = draw_flash(seconds=2.1, tone_hz=300, side="right", colour=(60, 100, 245))
    return Window(0, 0.0, 49 / 24, frames[:49], np.pad(audio, (0, 33_280))[:33_280])


def said(speaker, text):
    return Utterance(speaker, tuple(Word(word, 0.1, 0.2) for word in text.split()))


def test_the_sentence_of_the_scored_family():
    caption = STAGE.process(flash_window(), [])
    assert caption.text == "A blue bar on the right flashes, with a low tone at each flash."
    assert caption.tags == ("flash", "side:right", "colour:blue", "sound:struck_tone", "pitch:low")


@pytest.mark.parametrize("kind", ["flash", "impact", "music", "tone", "rain"])
@pytest.mark.parametrize(
    ("number", "fps"), [(0, Fraction(24)), (1, Fraction(30000, 1001)), (2, Fraction(25)), (3, Fraction(30))]
)
def test_the_generators_scenes_are_named_from_their_media(tmp_path, kind, number, fps):
    colour, side = ("red", "green", "blue", "yellow")[number], ("left", "right")[number % 2]
    hz = (300, 720, 1700, 720)[number]
    size = ((160, 128), (176, 144), (144, 256), (320, 240))[number]
    plan = ShotPlan(kind, colour, side, hz, 2.3)
    shot = render_shot(Stage(*size, fps, 48_000), plan, np.random.default_rng([number, 1]))
    write_mp4(tmp_path / "shot.mp4", Film(shot.frames_THWC, fps, shot.audio_L[None], 48_000))
    source = DecodeStage(ClipConfig(), DecodeConfig()).process(tmp_path / "shot.mp4")
    (part,) = CutStage(CutConfig()).process(source)
    (window,) = WindowStage(ClipConfig(), 0.042, 0.25).process(source, part)
    caption = STAGE.process(window, [])
    assert caption.tags[0] == kind
    if kind != "rain":
        assert f" {colour} " in f" {caption.text.lower()} "
    if kind in ("flash", "tone"):
        assert f"on the {side}" in caption.text
        assert PITCHES[hz] in caption.text.split()
    if kind == "impact":
        assert ("wood" if side == "left" else "metal") in caption.text


def test_speech_goes_in_as_spans_after_the_description():
    caption = STAGE.process(flash_window(), [said("Ada", "where is it"), said("Ben", "here")])
    assert caption.text.endswith(" <S>where is it<E> <S>here<E>")
    assert SPANS.match(caption.text)
    assert caption.tags[-1] == "transcript"


def test_sound_alone_is_described_by_its_sound():
    window = flash_window()
    alone = STAGE.process(Window(0, 0.0, 2.08, None, window.audio), [])
    assert alone.text == "A low tone at each strike."
    assert alone.tags[0] == "tones"


@pytest.mark.parametrize("picture_kind", list(PictureKind))
@pytest.mark.parametrize("sound_kind", list(SoundKind))
def test_every_pair_of_kinds_has_a_whole_sentence(picture_kind, sound_kind):
    for colour in ("red", ""):
        caption = describe(PictureObservation(picture_kind, colour, "left"), SoundObservation(sound_kind, 440.0, 3))
        assert re.match(r"^[A-Z][a-z ,]+\.$", caption.text), caption.text
        assert "  " not in caption.text
        assert caption.tags[0]


def test_of_a_scene_it_does_not_know_it_says_no_more_than_is_sure():
    columns = PictureObservation(PictureKind.COLUMNS, "yellow", "left")
    caption = describe(columns, SoundObservation(SoundKind.VOICE, 120.0, 3))
    assert caption.text == "A moving scene, mostly yellow, with sound."
    assert caption.tags[0] == "other"
    still = describe(PictureObservation(PictureKind.STILL, "", "middle"), SoundObservation(SoundKind.SILENCE, 0.0, 0))
    assert still.text == "A still picture without a sound."
