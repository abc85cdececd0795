import os
import signal

import numpy as np
import pytest

from nava.data.synthetic import speech
from nava.data.synthetic.speech import (
    SAMPLE_RATE_HZ,
    SENTENCES,
    SHORT_SENTENCES,
    VOICES,
    Voice,
    mouth_opening,
    openness,
    speak,
)
from nava.runtime.errors import InputError

ADA, BEN = VOICES[:2]


@pytest.fixture(scope="module")
def utterance():
    return speak("The kettle is on the stove.", ADA, seed=5)


def test_the_same_words_sound_the_same_whatever_was_said_before(utterance):
    speak("Something else in between.", BEN, seed=9)
    again = speak(utterance.text, ADA, seed=5)
    assert np.array_equal(again.samples_L, utterance.samples_L)
    assert again.words == utterance.words
    assert again.phonemes == utterance.phonemes


def test_the_seed_and_the_voice_change_the_sound(utterance):
    assert not np.array_equal(speak(utterance.text, ADA, seed=6).samples_L, utterance.samples_L)
    assert not np.array_equal(speak(utterance.text, BEN, seed=5).samples_L, utterance.samples_L)


def test_it_is_audible_speech_of_a_sentence_length(utterance):
    assert utterance.samples_L.dtype == np.float32
    assert 1.0 < utterance.duration_s < 2.0
    assert 0.02 < np.sqrt(np.mean(utterance.samples_L**2)) < 0.5
    assert np.abs(utterance.samples_L).max() <= 1.0


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.speaker)
def test_every_voice_speaks_every_word_in_order(voice):
    for text in (SENTENCES[8], SHORT_SENTENCES[3]):
        spoken = speak(text, voice, seed=1)
        assert [word.text for word in spoken.words] == text.replace(".", "").replace(",", "").replace("?", "").split()
        bounds = [time for word in spoken.words for time in (word.start_s, word.end_s)]
        assert bounds == sorted(bounds)
        assert bounds[0] >= 0.0
        assert bounds[-1] <= spoken.duration_s + 1e-3
        assert all(word.end_s > word.start_s for word in spoken.words)


def test_words_that_espeak_joins_get_times_of_their_own(utterance):
    texts = [word.text for word in utterance.words]
    first, second = utterance.words[texts.index("on")], utterance.words[texts.index("on") + 1]
    assert second.text == "the"
    assert first.end_s == second.start_s
    assert second.end_s > second.start_s


def test_every_sentence_fits_the_shortest_shot():
    longest = max(SENTENCES, key=len)
    assert max(speak(longest, voice, seed=1).duration_s for voice in VOICES) < 2.15 - 0.12


def test_a_voice_that_does_not_exist_is_an_error_not_another_voice():
    with pytest.raises(RuntimeError, match="no such voice: en-gb"):
        speak("Hello.", Voice("Nobody", "en-gb", 160, 50), seed=1)


def test_a_synthesiser_that_dies_is_reported(monkeypatch):
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(speech, "_synthesise", die)
    with pytest.raises(RuntimeError, match="exit status -9"):
        speak("Hello.", ADA, seed=1)


def test_no_child_process_is_left_behind(monkeypatch):
    children, fork = [], os.fork

    def recorded_fork() -> int:
        child = fork()
        if child:
            children.append(child)
        return child

    monkeypatch.setattr(os, "fork", recorded_fork)
    speak("Hello.", ADA, seed=1)
    assert len(children) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)


def test_without_espeak_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(speech.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'nava\[demo\]'"):
        speak("Hello.", ADA, seed=1)


@pytest.mark.parametrize(
    ("symbol", "expected"), [("m", 0.0), ("b", 0.0), ("", 0.0), ("ˈɑː", 1.0), ("s", 0.2), ("ɪ", 0.45)]
)
def test_lips_close_for_labials_and_open_for_vowels(symbol, expected):
    assert openness(symbol) == expected


def test_the_mouth_follows_phoneme_and_loudness(utterance):
    times_T = np.arange(0.0, utterance.duration_s, 1 / 30)
    opening_T = mouth_opening(utterance, times_T)
    assert opening_T.min() >= 0.0
    assert 0.4 < opening_T.max() <= 1.0
    index_T = (times_T * SAMPLE_RATE_HZ).astype(int)
    loudness_T = np.array([np.sqrt(np.mean(utterance.samples_L[max(0, i - 400) : i + 400] ** 2)) for i in index_T])
    assert np.corrcoef(opening_T, loudness_T)[0, 1] > 0.6


def test_the_mouth_is_shut_before_and_after(utterance):
    assert not mouth_opening(utterance, np.array([-1.0, -0.01, utterance.duration_s + 0.01, 9.0])).any()
