"""WebVTT sidecars."""

import itertools

import pytest

from nava.data.speech.transcript import parse_transcript

VTT = """WEBVTT

NOTE made by hand

1
00:00:01.000 --> 00:00:03.000
<v Ada>Where is the lamp?

00:00:04.500 --> 00:00:06.000 align:start
<v Ben Low>By the <i>old</i> door.
"""


def test_speakers_text_and_times_are_read():
    first, second = parse_transcript(VTT)
    assert (first.speaker, first.text) == ("Ada", "Where is the lamp?")
    assert (second.speaker, second.text) == ("Ben Low", "By the old door.")
    assert first.words[0].t0_s == 1.0
    assert first.words[-1].t1_s == pytest.approx(3.0)


def test_words_lie_in_order_and_fill_the_cue():
    words = parse_transcript(VTT)[0].words
    assert all(a.t1_s == pytest.approx(b.t0_s) for a, b in itertools.pairwise(words))


def test_inline_times_are_used():
    (utterance,) = parse_transcript("WEBVTT\n\n00:00.000 --> 00:04.000\n<v Ada>one <00:03.000>two three\n")
    assert [word.t0_s for word in utterance.words] == [0.0, 3.0, pytest.approx(3.4, abs=0.1)]


def test_a_cue_may_hold_two_voices():
    first, second = parse_transcript("WEBVTT\n\n00:00.000 --> 00:02.000\n<v Ada>Hello. <v Ben>Hello.\n")
    assert (first.speaker, second.speaker) == ("Ada", "Ben")
    assert second.words[0].t0_s == pytest.approx(1.0, abs=0.1)


def test_text_without_a_voice_has_no_speaker():
    (utterance,) = parse_transcript("WEBVTT\n\n01:00:00.000 --> 01:00:01.000\nHi\n")
    assert utterance.speaker == ""
    assert utterance.words[0].t0_s == 3600.0


def test_the_words_of_a_span_are_those_whose_middle_lies_in_it():
    first, _ = parse_transcript(VTT)
    assert first.between(0, 10).text == "Where is the lamp?"
    assert first.between(1.0, 1.6).text == "Where"
    assert first.between(5, 6) is None


def test_marks_of_the_caption_cannot_be_smuggled_in():
    (utterance,) = parse_transcript("WEBVTT\n\n00:00.000 --> 00:02.000\n<S>now<E> a < b > <\n")
    assert utterance.text == "now a"


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_and_byte_order_mark(line_end):
    assert len(parse_transcript("\ufeff" + VTT.replace("\n", line_end))) == 2


@pytest.mark.parametrize("text", ["", "1\n00:00:01,000 --> 00:00:02,000\nSubRip\n", "hello"])
def test_other_files_are_refused(text):
    with pytest.raises(ValueError, match="WEBVTT"):
        parse_transcript(text)


def test_entities_are_characters_but_no_marks():
    (utterance,) = parse_transcript("WEBVTT\n\n00:00.000 --> 00:01.000\nsalt &amp; pepper &lt;S&gt;\n")
    assert utterance.text == "salt & pepper S"
