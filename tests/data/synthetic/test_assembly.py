from fractions import Fraction

import numpy as np
import pytest

from nava.data.synthetic.assembly import MIN_CUT_DISTANCE, assemble, record
from nava.data.synthetic.drawing import Stage, hash_distance
from nava.data.synthetic.plan import FilePlan, ShotPlan

STAGE = Stage(192, 128, Fraction(30000, 1001), 44_100)


def make_shot(kind: str, side: str = "left", **values) -> ShotPlan:
    return ShotPlan(kind, "green", side, 300, **({"min_duration_s": 2.2} | values))


def make_plan(*shots: ShotPlan, channels: int = 1, **values) -> FilePlan:
    return FilePlan(0, "video/v0000.mp4", "video", 0, STAGE, channels, shots, **values)


def assembled(plan: FilePlan, seed: int = 0):
    return assemble(plan, np.random.default_rng(seed))


def test_shots_follow_one_another_without_a_gap():
    film, label = assembled(make_plan(make_shot("flash"), make_shot("impact"), make_shot("tone")))
    assert [shot.kind for shot in label.shots] == ["flash", "impact", "tone"]
    assert label.shots[0].start_frame == 0
    assert label.shots[-1].end_frame == len(film.frames_THWC)
    for before, after, cut in zip(label.shots, label.shots[1:], label.cuts, strict=False):
        assert before.end_frame == after.start_frame
        assert cut.time_s == after.start_s == pytest.approx(after.start_frame * 1001 / 30000, abs=1e-6)


def test_sound_is_as_long_as_the_picture_however_many_shots():
    film, _ = assembled(make_plan(*[make_shot("flash", side) for side in ("left", "right") * 3]))
    assert film.audio_CL.shape == (1, round(len(film.frames_THWC) * 1001 / 30000 * 44_100))


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_of_a_hard_cut_look_different_even_of_the_same_kind_and_side(seed):
    film, label = assembled(make_plan(*[make_shot("flash")] * 3, make_shot("talk"), make_shot("flash")), seed)
    for cut, shot in zip(label.cuts, label.shots[1:], strict=True):
        assert cut.kind == "hard"
        pair = film.frames_THWC[shot.start_frame - 1], film.frames_THWC[shot.start_frame]
        assert hash_distance(*pair) >= MIN_CUT_DISTANCE


def test_a_fade_goes_through_black_in_picture_and_sound():
    plan = make_plan(make_shot("tone", tail_s=0.25), make_shot("music", lead_s=0.25))
    film, label = assembled(plan)
    cut, middle = label.cuts[0], label.shots[1].start_frame
    assert (cut.kind, cut.start_s, cut.end_s) == ("fade", cut.time_s - 0.25, cut.time_s + 0.25)
    light = film.frames_THWC.mean(axis=(1, 2, 3))
    assert light[middle] < 2 > light[middle - 1]
    assert light[middle - 8] > 10 < light[middle + 8]
    sample = round(middle * 1001 / 30000 * 44_100)
    assert np.abs(film.audio_CL[0, sample - 100 : sample + 100]).max() < 0.02


def test_a_hard_cut_does_not_click():
    film, label = assembled(make_plan(make_shot("tone"), make_shot("tone", "right")))
    sample = round(label.cuts[0].time_s * 44_100)
    assert np.abs(film.audio_CL[0, sample - 2 : sample + 2]).max() < 0.01


def test_events_are_seconds_of_the_file():
    _, label = assembled(make_plan(make_shot("flash"), make_shot("flash", "right")))
    for shot in label.shots:
        assert shot.events_s
        assert all(shot.start_s < event < shot.end_s for event in shot.events_s)
        assert (shot.colour, shot.pitch_hz) == ("green", 300)


def test_the_transcript_is_in_seconds_of_the_file_with_its_speaker():
    _, label = assembled(make_plan(make_shot("flash"), make_shot("talk")))
    part, shot = label.transcript[0], label.shots[1]
    assert shot.start_s < part.start_s < part.end_s <= shot.end_s
    assert shot.speakers == [part.speaker]
    assert part.words[0].start_s == part.start_s
    assert part.words[-1].end_s == pytest.approx(part.end_s, abs=1e-3)


def test_a_side_is_heard_on_its_side_in_stereo():
    film, label = assembled(make_plan(make_shot("flash", "left"), make_shot("flash", "right"), channels=2))
    sample = round(label.cuts[0].time_s * 44_100)
    left, right = np.sqrt(np.mean(film.audio_CL[:, :sample] ** 2, axis=1))
    assert left > 1.5 * right
    left, right = np.sqrt(np.mean(film.audio_CL[:, sample:] ** 2, axis=1))
    assert right > 1.5 * left


@pytest.mark.parametrize("sound", ["speech", "flash_tones", "music", "rain"])
def test_a_recording_lasts_four_to_eight_seconds_and_is_heard_throughout(sound):
    plan = FilePlan(3, "audio/a0000.wav", "audio", 0, STAGE, 1, sound=sound, variant=1)
    audio, label = record(plan, np.random.default_rng(0))
    seconds = audio.shape[1] / 44_100
    assert 4.0 <= seconds <= 8.0
    assert label.shots[0].end_s == pytest.approx(seconds, abs=1e-3)
    for part in np.array_split(audio[0], 3):
        assert np.sqrt(np.mean(part**2)) > 0.005
    assert bool(label.transcript) == (sound == "speech")
    assert bool(label.shots[0].events_s) == (sound in ("flash_tones", "music"))


@pytest.mark.parametrize(("variant", "pitch"), [(0, 300), (1, 720), (2, 1700), (3, 300)])
def test_recorded_tones_take_turns_in_the_three_pitches(variant, pitch):
    plan = FilePlan(3, "audio/a0000.wav", "audio", 0, STAGE, 1, sound="flash_tones", variant=variant)
    audio, label = record(plan, np.random.default_rng(0))
    at = round(label.shots[0].events_s[0] * 44_100)
    block = audio[0, at : at + 8820]
    assert np.argmax(np.abs(np.fft.rfft(block))) * 5 == pytest.approx(pitch, abs=10)
    assert label.shots[0].pitch_hz == pitch


def test_a_monologue_has_one_speaker_who_does_not_repeat_himself():
    plan = FilePlan(3, "audio/a0000.wav", "audio", 0, STAGE, 1, sound="speech")
    _, label = record(plan, np.random.default_rng(1))
    assert len({part.speaker for part in label.transcript}) == 1
    assert len({part.text for part in label.transcript}) == len(label.transcript) >= 2
    assert all(a.end_s < b.start_s for a, b in zip(label.transcript, label.transcript[1:], strict=False))
    assert label.transcript[-1].end_s <= label.shots[0].end_s
