import numpy as np
import pytest

from nava.config.speech import RecognitionConfig
from nava.data.speech.recognition import Recording, build_recogniser, name_speakers, spans_of, utterances_of
from nava.data.speech.speaker_turns import Turn
from nava.data.speech.transcript import Utterance, Word

TURNS = [Turn("S1", 0.1, 1.0), Turn("S2", 1.1, 2.0)]


def words(*timed):
    return tuple(Word(*one) for one in timed)


def said(utterances):
    return [(one.speaker, one.text) for one in utterances]


def test_words_go_to_the_turn_their_middle_is_nearest_to():
    heard = words(("I", 0.0, 0.05), ("am", 0.2, 0.5), ("late.", 0.8, 1.1), ("Are", 1.06, 1.2), ("you?", 2.1, 2.4))
    assert said(utterances_of(heard, TURNS)) == [("S1", "I am late."), ("S2", "Are you?")]


def test_words_out_of_order_are_put_in_order():
    assert said(utterances_of(words(("b", 0.5, 0.6), ("a", 0.2, 0.3)), TURNS)) == [("S1", "a b")]


def test_two_turns_of_one_speaker_are_two_utterances():
    turns = [Turn("S1", 0.0, 0.5), Turn("S1", 1.5, 2.0)]
    assert said(utterances_of(words(("a", 0.1, 0.2), ("b", 1.6, 1.7)), turns)) == [("S1", "a"), ("S1", "b")]


def test_words_where_no_voice_was_heard_have_one_speaker():
    assert said(utterances_of(words(("a", 0.1, 0.2), ("b", 1.6, 1.7)), [])) == [("S1", "a b")]


def test_only_unnamed_speakers_are_looked_for_in_the_turns():
    utterances = [Utterance("Ada", words(("a", 0.1, 0.2))), Utterance("", words(("b", 0.3, 0.4), ("c", 1.5, 1.6)))]
    assert said(name_speakers(utterances, TURNS)) == [("Ada", "a"), ("S1", "b"), ("S2", "c")]


def test_spans_are_cut_to_the_clip_and_on_its_clock():
    utterances = [
        Utterance("Ada", words(("out", 9.0, 9.9), ("half", 9.8, 10.4), ("in", 11.0, 11.5), ("end", 11.6, 12.3)))
    ]
    (span,) = spans_of(utterances, 10.0, 12.0)
    assert (span["speaker"], span["text"]) == ("Ada", "half in end")
    assert (span["t0_s"], span["t1_s"]) == (0.0, 2.0)


def test_what_is_said_outside_has_no_span():
    assert spans_of([Utterance("Ada", words(("late", 11.8, 12.4)))], 10.0, 12.0) == []


@pytest.mark.parametrize("time_s", [0.0, 1.0, 1.999])
def test_a_word_without_length_still_has_a_span(time_s):
    (span,) = spans_of([Utterance("S1", words(("ah", time_s, time_s)))], 0.0, 2.0)
    assert 0 <= span["t0_s"] < span["t1_s"] <= 2.0


def test_spans_are_in_order_of_time():
    utterances = [Utterance("B", words(("b", 1.0, 1.2))), Utterance("A", words(("a", 0.2, 0.4)))]
    assert [span["speaker"] for span in spans_of(utterances, 0.0, 2.0)] == ["A", "B"]


def test_no_recogniser_says_so(tmp_path):
    recogniser = build_recogniser(RecognitionConfig())
    assert recogniser.backend == "none"
    assert recogniser.words(Recording(np.zeros(16_000, np.float32), tmp_path / "x.wav")) == []
