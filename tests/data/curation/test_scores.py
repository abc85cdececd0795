"""Scores of picture and sound."""

import cv2
import numpy as np
import pytest

from nava.artifacts.source_manifest import Source
from nava.config.curation import ClipConfig, IntegrityConfig, ScoreConfig
from nava.data.curation import scores
from nava.data.curation.decoding import SourceTrack, Still
from nava.data.curation.media import ClipMedia
from nava.data.curation.scores import MIN_LEVEL_DB, PictureStage, SoundStage, blockiness, to_luma
from nava.data.curation.stage import Clip, SourceTask
from tests.data.curation.conftest import RATE_HZ, draw_flash, draw_room

SOUND = SoundStage(ScoreConfig().silence_dbfs)
PICTURE = PictureStage(ClipConfig(), IntegrityConfig())
CLOCK = np.arange(33_280) / RATE_HZ
TONE = np.sin(2 * np.pi * 440 * CLOCK).astype(np.float32)


def picture(frames_THWC, stills=()):
    return PICTURE.scores(frames_THWC, list(stills))


def still_of(seed, blur=0):
    luma = draw_room(seed, 1, (128, 128))[0][..., 0]
    return cv2.GaussianBlur(luma, (0, 0), blur) if blur else luma


def test_a_frozen_picture_is_static_and_a_flash_is_not():
    frozen = picture(draw_room(0, 49))
    assert (frozen["static_ratio"], frozen["motion"]) == (1.0, 0.0)
    frames, _ = draw_flash(seconds=49 / 24)
    assert picture(frames)["static_ratio"] < 0.9


def test_noise_of_the_encoder_is_no_movement():
    rng = np.random.default_rng(0)
    grain = draw_room(0, 49).astype(int) + rng.integers(-3, 4, (49, 64, 64, 3))
    assert picture(grain.clip(0, 255).astype(np.uint8))["static_ratio"] == 1.0


def test_a_thing_that_only_differs_in_colour_moves():
    frames = np.full((49, 64, 64, 3), (60, 60, 60), np.uint8)
    for number, frame in enumerate(frames):
        frame[20:30, number : number + 8] = (118, 35, 37)  # the same luma
    assert np.ptp(to_luma(frames)) < 2
    assert picture(frames)["static_ratio"] == 0.0


def test_blur_lowers_sharpness():
    sharp, blurred = picture(draw_room(0, 49), [still_of(0)]), picture(draw_room(0, 49), [still_of(0, blur=6)])
    assert sharp["sharpness"] > 10 * blurred["sharpness"]


def test_one_sharp_still_is_enough():
    both = picture(draw_room(0, 49), [still_of(0, blur=6), still_of(0)])
    assert both["sharpness"] == picture(draw_room(0, 49), [still_of(0)])["sharpness"]


def test_without_stills_sharpness_is_not_measured():
    assert picture(draw_room(0, 49))["sharpness"] is None


@pytest.mark.parametrize(("level", "exposed"), [(2, 0.0), (253, 0.0), (120, 1.0)])
def test_exposure_is_the_share_that_is_neither_black_nor_white(level, exposed):
    frames = np.full((4, 64, 64, 3), level, np.uint8)
    assert picture(frames)["exposure"] == exposed
    frames[:, :32] = 120
    assert picture(frames)["exposure"] == pytest.approx((1 + exposed) / 2)


def test_blocks_are_seen_and_other_edges_are_not():
    smooth = np.broadcast_to(np.linspace(0, 250, 128), (128, 128)).astype(np.uint8)
    coarse = cv2.resize(cv2.resize(smooth, (16, 16), interpolation=cv2.INTER_AREA), (128, 128), interpolation=0)
    assert blockiness(smooth) == pytest.approx(1.0, abs=0.1)
    assert blockiness(coarse) > 5
    assert blockiness(np.full((128, 128), 90, np.uint8)) == 1.0
    assert blockiness(np.full((4, 4), 90, np.uint8)) == 1.0


def scored(monkeypatch, tmp_path, stills, height, crop=None):
    """A clip's row after the stage, for a source of this height."""
    silence = np.zeros(0, np.float32)
    smalls = np.zeros((1, 64, 64, 3), np.uint8)
    track = SourceTrack(np.zeros(1), smalls, stills, silence, 16_000, True, True, width=128, height=height)
    monkeypatch.setattr(scores, "source_track", lambda *arguments: track)
    monkeypatch.setattr(scores, "clip_media", lambda *arguments: ClipMedia(draw_room(0, 5), TONE))
    row = {"clip_id": "a", "modality": "av", "t0_us": 0, "t1_us": 2_000_000, "crop": crop}
    source = Source("s", "a.mp4", "0" * 64, 1, None, "", "")
    task = SourceTask(source, str(tmp_path), tmp_path, clips=[Clip(row)])
    PICTURE.process([task])
    return task.clips[0].row


def test_blocks_are_not_judged_in_pictures_that_were_made_smaller(monkeypatch, tmp_path):
    stills = [Still(0.5, still_of(0))]
    assert scored(monkeypatch, tmp_path, stills, 128)["blockiness"] > 0
    assert scored(monkeypatch, tmp_path, stills, 1080)["blockiness"] is None


def test_what_is_cut_away_says_nothing_about_sharpness(monkeypatch, tmp_path):
    half = still_of(0, blur=6)
    half[64:] = still_of(0)[64:]
    above = {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 0.4}
    whole, kept = (scored(monkeypatch, tmp_path, [Still(0.5, half)], 128, crop) for crop in (None, above))
    assert whole["sharpness"] > 5 * kept["sharpness"]
    assert whole["blockiness"] == kept["blockiness"]


@pytest.mark.parametrize("gain_db", [0, -20, -40])
def test_loudness_follows_the_gain(gain_db):
    found = SOUND.scores(TONE * 10 ** (gain_db / 20), RATE_HZ)
    assert found["lufs"] == pytest.approx(-3.0 + gain_db, abs=1.5)
    assert found["peak_db"] == pytest.approx(gain_db, abs=0.1)
    assert found["silence_ratio"] == 0.0


def test_silence_has_finite_scores():
    found = SOUND.scores(np.zeros(33_280, np.float32), RATE_HZ)
    assert found["lufs"] == found["peak_db"] == MIN_LEVEL_DB
    assert found["silence_ratio"] == 1.0
    assert found["clip_ratio"] == 0.0


def test_sound_too_short_for_the_meter_is_scored_as_silent_not_refused():
    assert SOUND.scores(TONE[: int(0.3 * RATE_HZ)], RATE_HZ)["lufs"] == MIN_LEVEL_DB
    assert SOUND.scores(TONE[:0], RATE_HZ)["silence_ratio"] == 1.0


def test_clipping_and_silence_are_shares():
    clipped = SOUND.scores(np.clip(3 * TONE, -1, 1), RATE_HZ)
    assert 0.5 < clipped["clip_ratio"] < 0.9
    half = TONE.copy()
    half[: len(half) // 2] = 0
    assert SOUND.scores(half, RATE_HZ)["silence_ratio"] == pytest.approx(0.5, abs=0.02)
