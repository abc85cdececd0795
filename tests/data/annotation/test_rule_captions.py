"""The rule-based captioner: right words for what the generator drew, without ever seeing its labels."""

import re
from dataclasses import asdict
from fractions import Fraction

import cv2
import numpy as np
import pytest

from nava.artifacts.source_manifest import Source
from nava.config.curation import ClipConfig, IntegrityConfig, SceneConfig
from nava.data.annotation.caption_parts import CaptionParts
from nava.data.annotation.captioner import RuleCaptioner
from nava.data.annotation.picture_observation import PictureKind, PictureObservation
from nava.data.annotation.rule_captions import caption_by_rules, describe
from nava.data.annotation.sound_observation import SoundKind, SoundObservation
from nava.data.clip_media import read_small_video
from nava.data.curation import media
from nava.data.curation.media import clip_media
from nava.data.curation.source_stages import IntegrityStage, SceneStage, TranscodeStage, WindowStage
from nava.data.curation.stage import SourceTask
from nava.data.synthetic.drawing import Stage
from nava.data.synthetic.files import Film, write_mp4
from nava.data.synthetic.plan import ShotPlan
from nava.data.synthetic.shots import render_shot
from nava.runtime.hashing import sha256_file
from tests.data.annotation.kept_clips import task_of, write_clip
from tests.data.curation.conftest import RATE_HZ, draw_flash

PITCHES = {300: "low", 720: "middle", 1700: "high"}


def flash():
    frames, audio = draw_flash(seconds=2.1, tone_hz=300, side="right", colour=(60, 100, 245))
    return frames[:49], np.pad(audio, (0, 33_280))[:33_280]


def test_the_sentence_of_the_scored_family():
    caption = caption_by_rules(*flash(), RATE_HZ)
    assert caption.text == "A blue bar on the right flashes, with a low tone at each flash."
    assert caption.tags == ("flash", "side:right", "colour:blue", "sound:struck_tone", "pitch:low")


def test_the_same_in_the_parts_of_the_prompt():
    assert asdict(caption_by_rules(*flash(), RATE_HZ).parts) == {
        "visual": "A blue bar on the right.",
        "temporal": "The bar flashes.",
        "camera": "A static camera.",
        "audio": "A low tone at each flash.",
    }


def cut_clip(path):
    """The one clip of a file, as the stages of curation cut and write it."""
    clip, limits, scenes = ClipConfig(), IntegrityConfig(), SceneConfig()
    source = Source(path.stem, path.name, sha256_file(path), path.stat().st_size, None, "", "")
    task = SourceTask(source, str(path.parent), path.parent / "work")
    stages = [IntegrityStage(clip, limits), SceneStage(clip, limits, scenes), WindowStage(clip, limits, scenes)]
    for stage in [*stages, TranscodeStage(clip, limits)]:
        (task,) = stage.process([task])
    (only,) = task.open_clips
    return clip_media(task, only)


SCENES = [("flash", number) for number in range(4)]
SCENES += [(kind, number) for kind in ("impact", "music", "tone", "rain") for number in (1, 2)]
FORMS = [
    (Fraction(24), "red", 300, (160, 128)),
    (Fraction(30000, 1001), "green", 720, (176, 144)),
    (Fraction(25), "blue", 1700, (144, 256)),
    (Fraction(30), "yellow", 720, (320, 240)),
]


@pytest.mark.parametrize(("kind", "number"), SCENES)
def test_the_generators_scenes_are_named_from_their_media(tmp_path, kind, number):
    (fps, colour, hz, size), side = FORMS[number], ("left", "right")[number % 2]
    plan = ShotPlan(kind, colour, side, hz, 2.3)
    shot = render_shot(Stage(*size, fps, 48_000), plan, np.random.default_rng([number, 1]))
    write_mp4(tmp_path / "shot.mp4", Film(shot.frames_THWC, fps, shot.audio_L[None], 48_000))
    media = cut_clip(tmp_path / "shot.mp4")
    caption = caption_by_rules(media.frames_THWC, media.audio, RATE_HZ)
    assert caption.tags[0] == kind
    for text in (caption.text, caption.parts.text):
        words = text.lower().replace(".", " ").split()
        if kind != "rain":
            assert colour in words
        if kind in ("flash", "tone"):
            assert f"on the {side}" in text
            assert PITCHES[hz] in words
        if kind == "impact":
            assert ("wood" if side == "left" else "metal") in words


def test_sound_alone_is_described_by_its_sound():
    alone = caption_by_rules(None, flash()[1], RATE_HZ)
    assert alone.text == alone.parts.audio == "A low tone at each strike."
    assert alone.parts.visual == ""
    assert alone.tags[0] == "tones"


@pytest.mark.parametrize("picture_kind", list(PictureKind))
@pytest.mark.parametrize("sound_kind", list(SoundKind))
def test_every_pair_of_kinds_has_a_whole_sentence(picture_kind, sound_kind):
    for colour in ("red", ""):
        caption = describe(PictureObservation(picture_kind, colour, "left"), SoundObservation(sound_kind, 440.0, 3))
        assert re.match(r"^[A-Z][a-z ,]+\.$", caption.text), caption.text
        assert "  " not in caption.text
        assert caption.tags[0]
        for part in (caption.parts.visual, caption.parts.audio):
            assert re.match(r"^[A-Z][a-z ,]*\.$", part), part
        assert (caption.parts.camera == "") == (
            picture_kind in (PictureKind.MOVING, PictureKind.COLUMNS, PictureKind.STREAKS, PictureKind.OTHER)
        )


def test_of_a_scene_it_does_not_know_it_says_no_more_than_is_sure():
    columns = PictureObservation(PictureKind.COLUMNS, "yellow", "left")
    caption = describe(columns, SoundObservation(SoundKind.VOICE, 120.0, 3))
    assert caption.text == "A moving scene, mostly yellow, with sound."
    assert caption.tags[0] == "other"
    still = describe(PictureObservation(PictureKind.STILL, "", "middle"), SoundObservation(SoundKind.SILENCE, 0.0, 0))
    assert still.text == "A still picture without a sound."
    assert still.parts == CaptionParts("A still picture.", "Nothing moves.", "A static camera.", "Silence.")


@pytest.mark.parametrize("kind", ["flash", "impact", "tone", "music", "talk", "dialog"])
@pytest.mark.parametrize("size", [(640, 640), (720, 640)])
def test_a_big_picture_says_the_words_of_its_small_version(tmp_path, kind, size):
    plan = ShotPlan(kind, "green", "left", 720, 2.3)
    shot = render_shot(Stage(*size, Fraction(24), RATE_HZ), plan, np.random.default_rng(5))
    frames, audio = shot.frames_THWC[:49], shot.audio_L
    small_size = (64 * size[0] // size[1], 64)
    small = np.stack([cv2.resize(frame, small_size, interpolation=cv2.INTER_AREA) for frame in frames])
    said = caption_by_rules(frames, audio, RATE_HZ)
    assert said == caption_by_rules(small, audio, RATE_HZ)
    assert said.tags[0] == kind
    write_mp4(tmp_path / "shot.mp4", Film(frames, Fraction(24), audio[None], RATE_HZ))
    assert caption_by_rules(read_small_video(tmp_path / "shot.mp4"), audio, RATE_HZ) == said


def test_a_stage_describes_a_big_clip_at_a_glance(tmp_path, monkeypatch):
    def whole(path):
        raise AssertionError(f"{path} was read whole")

    monkeypatch.setattr(media, "read_video", whole)
    frames, audio = flash()
    big = np.repeat(np.repeat(frames, 6, axis=1), 6, axis=2)
    clip = write_clip(tmp_path, frames_THWC=big, audio=audio)
    task = task_of(tmp_path, clip)
    assert RuleCaptioner().caption(task, clip).text == caption_by_rules(*flash(), RATE_HZ).text
    assert media.clip_at_a_glance(task, clip).shape == (49, 64, 64, 3)
