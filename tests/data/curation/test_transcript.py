"""WebVTT sidecars."""

import itertools

import pytest

from nava.data.curation import transcript
from nava.data.curation.transcript import read_transcript

VTT = """WEBVTT

NOTE made by hand

1
00:00:01.000 --> 00:00:03.000
<v Ada>Where is the lamp?

00:00:04.500 --> 00:00:06.000 align:start
<v Ben Low>By the <i>old</i> door.
"""


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "talk.vtt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_transcript(path)

    return write_and_read


def test_speakers_text_and_times_are_read(read):
    first, second = read(VTT)
    assert (first.speaker, first.text) == ("Ada", "Where is the lamp?")
    assert (second.speaker, second.text) == ("Ben Low", "By the old door.")
    assert first.words[0].t0_s == 1.0
    assert first.words[-1].t1_s == pytest.approx(3.0)


def test_words_lie_in_order_and_fill_the_cue(read):
    words = read(VTT)[0].words
    assert all(a.t1_s == pytest.approx(b.t0_s) for a, b in itertools.pairwise(words))


def test_inline_times_are_used(read):
    (utterance,) = read("WEBVTT\n\n00:00.000 --> 00:04.000\n<v Ada>one <00:03.000>two three\n")
    assert [word.t0_s for word in utterance.words] == [0.0, 3.0, pytest.approx(3.4, abs=0.1)]


def test_a_cue_may_hold_two_voices(read):
    first, second = read("WEBVTT\n\n00:00.000 --> 00:02.000\n<v Ada>Hello. <v Ben>Hello.\n")
    assert (first.speaker, second.speaker) == ("Ada", "Ben")
    assert second.words[0].t0_s == pytest.approx(1.0, abs=0.1)


def test_text_without_a_voice_has_no_speaker(read):
    (utterance,) = read("WEBVTT\n\n01:00:00.000 --> 01:00:01.000\nHi\n")
    assert utterance.speaker == ""
    assert utterance.words[0].t0_s == 3600.0


def test_the_words_of_a_span_are_those_whose_middle_lies_in_it(read):
    first, _ = read(VTT)
    assert first.between(0, 10).text == "Where is the lamp?"
    assert first.between(1.0, 1.6).text == "Where"
    assert first.between(5, 6) is None


def test_marks_of_the_caption_cannot_be_smuggled_in(read):
    (utterance,) = read("WEBVTT\n\n00:00.000 --> 00:02.000\n<S>now<E> a < b > <\n")
    assert utterance.text == "now a"


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_and_byte_order_mark(read, line_end):
    assert len(read(b"\xef\xbb\xbf" + VTT.replace("\n", line_end).encode())) == 2


@pytest.mark.parametrize("text", ["", "1\n00:00:01,000 --> 00:00:02,000\nSubRip\n", "hello"])
def test_other_files_are_refused(read, text):
    with pytest.raises(ValueError, match="WEBVTT"):
        read(text)


def test_a_file_that_is_too_large_is_not_read(read, monkeypatch):
    monkeypatch.setattr(transcript, "MAX_SIDECAR_BYTES", 10)
    with pytest.raises(ValueError, match="larger"):
        read(VTT)


def test_bytes_that_are_no_text_do_no_harm(read):
    assert read(b"WEBVTT\n\n00:00.000 --> 00:01.000\nA \xff\xfe B\n")[0].text.startswith("A")
