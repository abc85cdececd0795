import itertools
from fractions import Fraction

import numpy as np
import pytest

from nava.config.synthetic import SHOT_KINDS
from nava.data.synthetic.drawing import COLOURS, Stage, hash_distance, rgb
from nava.data.synthetic.plan import ShotPlan
from nava.data.synthetic.shots import FLASH_REST, Shot, brightness, render_shot
from nava.data.synthetic.sound import KNOCKS_HZ

STAGE = Stage(192, 128, Fraction(25), 32_000)
KINDS = ("flash", "impact", "talk", "dialog", "music", "tone", "rain", "silent")


def make_shot(kind: str, seed: int = 0, stage: Stage = STAGE, **values) -> Shot:
    settings = {"colour": "red", "side": "left", "pitch_hz": 720, "min_duration_s": 2.2} | values
    return render_shot(stage, ShotPlan(kind, **settings), np.random.default_rng(seed))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("kind", SHOT_KINDS)
def test_every_kind_that_a_corpus_may_have_is_drawn(kind):
    shot = make_shot(kind)
    assert len(np.unique(shot.frames_THWC)) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_picture_and_sound_last_equally_long(kind):
    shot = make_shot(kind)
    assert shot.frames_THWC.dtype == np.uint8
    assert shot.frames_THWC.shape[1:] == (128, 192, 3)
    assert len(shot.frames_THWC) / 25 >= 2.2
    assert len(shot.audio_L) == round(len(shot.frames_THWC) / 25 * 32_000)
    assert shot.audio_L.dtype == np.float32
    assert np.abs(shot.audio_L).max() < 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_renders_the_same_shot(kind):
    one, two, other = make_shot(kind, 4), make_shot(kind, 4), make_shot(kind, 5)
    assert np.array_equal(one.frames_THWC, two.frames_THWC)
    assert np.array_equal(one.audio_L, two.audio_L)
    assert one.frames_THWC.shape != other.frames_THWC.shape or (one.frames_THWC != other.frames_THWC).any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rain"])
def test_what_moves_lies_in_the_central_square(kind):
    moving = np.ptp(make_shot(kind).frames_THWC, axis=0).max(axis=2) > 8
    assert moving.any()
    assert not moving[:, :32].any()
    assert not moving[:, 160:].any()


@pytest.mark.parametrize("stage", [STAGE, Stage(144, 256, Fraction(24), 48_000), Stage(318, 134, Fraction(30), 48_000)])
def test_flashes_never_look_like_cuts(stage):
    for seed in range(6):
        frames = make_shot("flash", seed, stage, colour=list(COLOURS)[seed % 4]).frames_THWC
        distances = [hash_distance(a, b) for a, b in itertools.pairwise(frames)]
        assert max(distances) < 0.3


def test_brightness_rests_jumps_and_decays():
    times = np.array([0.0, 0.5, 0.75, 1.0])
    values = brightness((0.5, 1.0), times)
    assert values == pytest.approx([FLASH_REST, 1.0, FLASH_REST + (1 - FLASH_REST) * np.exp(-1.5), 1.0], rel=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("colour", list(COLOURS))
def test_a_flash_has_one_colour_on_one_side(side, colour):
    shot = make_shot("flash", side=side, colour=colour)
    light = np.ptp(shot.frames_THWC.astype(int), axis=0)
    columns = np.flatnonzero(light.max(axis=2).any(axis=0))
    assert (columns.max() < 96) if side == "left" else (columns.min() >= 96)
    hue = light[light.max(axis=2) > 0].mean(axis=0)
    cosine = {name: hue @ rgb(name) / np.linalg.norm(hue) / np.linalg.norm(rgb(name)) for name in COLOURS}
    assert max(cosine, key=cosine.get) == colour
    assert (shot.side, shot.pitch_hz) == (side, 720)


def test_flashes_are_seen_and_heard_together():
    shot = make_shot("flash", min_duration_s=4.4)
    track = shot.frames_THWC.max(axis=3).mean(axis=(1, 2))
    jumps = np.flatnonzero(np.diff(track) > 3) + 1
    assert jumps.tolist() == [int(np.ceil(event * 25 - 1e-6)) for event in shot.events_s]
    for event in shot.events_s:
        at = round(event * 32_000)
        assert rms(shot.audio_L[at : at + 640]) > 5 * rms(shot.audio_L[at - 320 : at])


def test_the_gaps_between_flashes_are_those_of_the_family():
    gaps = np.concatenate([np.diff(make_shot("flash", seed, min_duration_s=4.4).events_s) for seed in range(5)])
    assert gaps.min() >= 0.299
    assert gaps.max() <= 0.801
    assert gaps.std() > 0.08


def test_nothing_happens_while_the_picture_fades():
    for seed in range(5):
        shot = make_shot("flash", seed, min_duration_s=2.9, lead_s=0.25, tail_s=0.25)
        assert min(shot.events_s) > 0.25
        assert max(shot.events_s) < 2.9 - 0.25


def test_a_ball_is_lowest_when_it_knocks():
    shot = make_shot("impact", min_duration_s=4.4)
    is_ball = (np.abs(shot.frames_THWC.astype(int) - rgb("red").astype(int)) < 12).all(axis=3)
    bottom_T = np.array([np.flatnonzero(mask.any(axis=1)).max() for mask in is_ball])
    assert all(is_ball.reshape(len(is_ball), -1).any(axis=1))
    for contact in shot.events_s:
        first = max(0, int(contact * 25) - 3)
        lowest = first + int(np.argmax(bottom_T[first : first + 8]))
        assert abs(lowest / 25 - contact) <= 1 / 25
        at = round(contact * 32_000)
        assert rms(shot.audio_L[at : at + 320]) > 4 * rms(shot.audio_L[max(0, at - 640) : at])


@pytest.mark.parametrize(("side", "timbre"), [("left", "knock"), ("right", "metal")])
def test_balls_are_of_wood_or_metal(side, timbre):
    shot = make_shot("impact", side=side)
    at = round(shot.events_s[0] * 32_000)
    spectrum = np.abs(np.fft.rfft(shot.audio_L[at : at + 1600]))
    assert shot.timbre == timbre
    assert np.argmax(spectrum) * 20 == pytest.approx(np.mean(KNOCKS_HZ[timbre]), rel=0.4)


def test_a_mouth_opens_when_its_voice_is_loud():
    shot = make_shot("talk")
    dark = (shot.frames_THWC[:, 75:110, 70:122].max(axis=3) < 40).sum(axis=(1, 2)).astype(float)
    edges = [round(i / 25 * 32_000) for i in range(len(dark) + 1)]
    loud = np.array([rms(shot.audio_L[a:b]) for a, b in itertools.pairwise(edges)])
    assert np.corrcoef(dark, loud)[0, 1] > 0.5


def test_a_talk_has_one_speaker_and_a_dialog_two_who_take_turns():
    assert len(make_shot("talk").speech) == 1
    spoken = make_shot("dialog", min_duration_s=4.4).speech
    speakers = [part.utterance.voice.speaker for part in spoken]
    assert len(set(speakers)) == 2
    assert all(a != b for a, b in itertools.pairwise(speakers))
    ends = [part.start_s + part.utterance.duration_s for part in spoken]
    assert all(end <= part.start_s for end, part in zip(ends, spoken[1:], strict=False))


def test_what_is_said_ends_before_the_shot_does():
    for seed in range(4):
        shot = make_shot("talk", seed)
        part = shot.speech[0]
        assert part.start_s + part.utterance.duration_s <= len(shot.frames_THWC) / 25 + 1e-6


def test_a_column_jumps_with_each_note():
    shot = make_shot("music", min_duration_s=3.0)
    lit = (np.abs(shot.frames_THWC.astype(int)[..., 1:] - 28) < 14).all(axis=3) & (shot.frames_THWC[..., 0] > 150)
    rise = np.flatnonzero(np.diff(lit.sum(axis=(1, 2))) > 200) + 1
    expected = [int(np.ceil(event * 25 - 1e-6)) for event in shot.events_s]
    assert len(set(rise) & set(expected)) >= 0.7 * len(expected)


def test_a_tone_stands_higher_when_it_sounds_higher():
    shot = make_shot("tone", min_duration_s=4.0, side="right")
    is_disc = (np.abs(shot.frames_THWC.astype(int) - rgb("red").astype(int)) < 12).all(axis=3)
    height_T = np.array([-np.flatnonzero(mask.any(axis=1)).mean() for mask in is_disc])
    pitch_T = []
    for frame in range(len(height_T)):
        block = shot.audio_L[frame * 1280 : (frame + 1) * 1280]
        pitch_T.append(np.argmax(np.abs(np.fft.rfft(block * np.hanning(len(block)), 65_536))))
    assert np.corrcoef(height_T, pitch_T)[0, 1] > 0.95


def test_a_silent_shot_moves_without_a_sound():
    shot = make_shot("silent")
    assert not shot.audio_L.any()
    assert np.abs(np.diff(shot.frames_THWC.astype(int), axis=0)).max() > 30


def test_rain_moves_everywhere():
    moving = np.ptp(make_shot("rain").frames_THWC, axis=0).max(axis=2) > 8
    assert moving.mean() > 0.5
