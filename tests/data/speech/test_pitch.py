import numpy as np
import pytest

from nava.data.speech.pitch import HOP_S, Note, distinct_pitches, held_notes, pitch_track
from tests.data.speech.sounds import RATE_HZ, rain


def tone(hz, seconds=0.5, partials=(1.0,)):
    time_N = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    waves = [gain * np.sin(2 * np.pi * hz * number * time_N) for number, gain in enumerate(partials, 1)]
    return (0.3 * np.sum(waves, axis=0)).astype(np.float32)


@pytest.mark.parametrize("hz", [82.0, 110.0, 220.5, 440.0, 660.0])
@pytest.mark.parametrize("partials", [(1.0,), (0.5, 0.5, 0.3), (0.1, 1.0, 0.8)])
def test_the_pitch_is_that_of_the_fundamental(hz, partials):
    pitch = pitch_track(tone(hz, partials=partials))[5:-5]
    assert np.all(np.abs(12 * np.log2(pitch / hz)) < 0.2)


def test_there_is_a_value_for_every_hop():
    assert len(pitch_track(tone(200, 1.0))) == 101
    assert len(pitch_track(np.zeros(0, np.float32))) == 1


@pytest.mark.parametrize("make", [rain, lambda: np.zeros(16_000, np.float32)])
def test_noise_and_silence_have_no_pitch(make):
    assert np.mean(pitch_track(make()) > 0) < 0.02


def test_the_quiet_between_sounds_has_no_pitch():
    pitch = pitch_track(np.concatenate([tone(200), 1e-3 * tone(200), tone(200)]))
    assert np.all(pitch[58:93] == 0)


def test_held_pitches_are_notes():
    track = np.array([200.0] * 30 + [0.0] * 5 + [300.0] * 25 + [400.0] * 3)
    notes = held_notes(track, 0.8, 0.2)
    assert [(note.t0_s, note.t1_s) for note in notes] == [(0.0, 0.30), (pytest.approx(0.35), pytest.approx(0.60))]
    assert notes[1].semitone - notes[0].semitone == pytest.approx(12 * np.log2(1.5))
    assert distinct_pitches(notes) == 2


def test_a_vibrato_is_held_and_a_slide_is_not():
    time = np.arange(100) * HOP_S
    vibrato = 200 * 2 ** (0.5 * np.sin(2 * np.pi * 5.5 * time) / 12)
    slide = 200 * 2 ** (12 * time / 12)
    assert len(held_notes(vibrato, 0.8, 0.2)) == 1
    assert held_notes(slide, 0.8, 0.2) == []


def test_a_pitch_that_comes_again_is_counted_once():
    notes = [Note(0, 1, 60.0), Note(1, 2, 64.0), Note(2, 3, 60.1)]
    assert distinct_pitches(notes) == 2
    assert distinct_pitches([]) == 0
