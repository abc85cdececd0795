import numpy as np
import pytest

from nava.config.speech import VoiceActivityConfig
from nava.data.speech.singing import tell_speech
from nava.data.speech.tonality import measure_tonality
from nava.data.speech.voice_activity import SpeechSegment, VoiceActivity
from tests.data.speech.sounds import RATE_HZ, glide, in_clip, knocks, rain, spoken, sung, tune


@pytest.mark.parametrize("seed", range(4))
def test_singing_is_held_notes_that_are_never_still(seed):
    tonality = measure_tonality(sung(seed))
    assert tonality.is_sung
    assert not tonality.is_tune
    assert tonality.wobble == pytest.approx(0.45, abs=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_plucked_notes_are_a_tune(seed):
    tonality = measure_tonality(tune(seed))
    assert tonality.is_tune
    assert not tonality.is_sung
    assert tonality.wobble < 0.05


@pytest.mark.parametrize("voice", range(6))
def test_speech_is_not_held(voice):
    sentence = spoken(voice, voice + 6)
    assert not measure_tonality(in_clip((0.1, sentence), n_samples=len(sentence) + 3_200)).is_held


@pytest.mark.parametrize(
    "make", [rain, knocks, glide, lambda: np.zeros(16_000, np.float32), lambda: np.zeros(0, np.float32)]
)
def test_other_sounds_are_neither(make):
    tonality = measure_tonality(make())
    assert not tonality.is_sung
    assert not tonality.is_tune


def test_one_note_is_no_tune():
    time_N = np.arange(32_000) / RATE_HZ
    steady = (0.2 * np.sin(2 * np.pi * 300 * time_N) + 0.1 * np.sin(2 * np.pi * 600 * time_N)).astype(np.float32)
    tonality = measure_tonality(steady)
    assert tonality.is_held
    assert (tonality.distinct, tonality.leaps, tonality.is_tune) == (1, 0, False)


def test_a_voice_that_sings_all_the_time_does_not_speak():
    clip = sung()
    voices = tell_speech(clip, [SpeechSegment(0.2, 0.8), SpeechSegment(1.0, 1.5)])
    assert voices.spoken == ()
    assert voices.sung_s == pytest.approx(1.1)


def test_a_tune_that_is_taken_for_a_voice_neither_speaks_nor_sings():
    voices = tell_speech(tune(), [SpeechSegment(0.5, 1.5)])
    assert (voices.spoken, voices.sung_s) == ((), 0.0)


def test_speech_beside_singing_stays_speech():
    sentence = spoken(1, 2)
    clip = in_clip((0.1, sentence), (2.6, sung(1)), n_samples=75_000)
    said, song = SpeechSegment(0.1, 0.1 + len(sentence) / RATE_HZ), SpeechSegment(2.7, 4.5)
    voices = tell_speech(clip, [said, song])
    assert voices.spoken == (said,)
    assert voices.sung_s == pytest.approx(1.8)


def test_spoken_clips_keep_their_segments():
    sentence = spoken(4, 5)
    clip = in_clip((0.1, sentence), n_samples=len(sentence) + 3_200)
    segments = VoiceActivity(VoiceActivityConfig()).segments(clip)
    assert tell_speech(clip, segments).spoken == tuple(segments)
    assert tell_speech(clip, []).spoken == ()
