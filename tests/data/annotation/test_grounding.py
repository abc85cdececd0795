"""Who speaks when, as a model says: what is believed and what is not."""

import math

import pytest

from nava.data.annotation.endpoint import AnswerError
from nava.data.annotation.grounding import GroundedSpan, agreement, read_spans
from tests.data.annotation.kept_clips import grounded


def read(*spans, duration_s=2.0):
    return read_spans({"speech": list(spans)}, duration_s)


def test_spans_in_order_with_their_attributes():
    spans = read(
        grounded("Good  morning.", 0, 0.9, "woman in red", voice="young woman", rate="fast", position="on the left"),
        grounded("Morning!", 0.5, 1.5, "man", emotion="tired"),
        grounded("Well?", 1.0, 2, "woman in red"),
    )
    assert spans[0] == GroundedSpan(
        "woman in red", 0.0, 0.9, "Good morning.", voice="young woman", rate="fast", position="on the left"
    )
    assert [span.text for span in spans] == ["Good morning.", "Morning!", "Well?"]
    assert spans[1].utterance == {"speaker": "man", "t0_s": 0.5, "t1_s": 1.5, "text": "Morning!"}


def test_nobody_speaks():
    assert read() == []


def test_rounding_at_the_edges_is_trimmed():
    (span,) = read(grounded("Hi", -0.04, 2.04))
    assert (span.t0_s, span.t1_s) == (0.0, 2.0)


def test_turns_may_touch_as_closely_as_times_are_rounded():
    assert len(read(grounded("One", 0.1, 0.9), grounded("two", 0.86, 1.2))) == 2


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ([grounded("x", 0.1, 2.2)], r"speech\[0\] lasts from 0.10 to 2.20 s; the clip from 0 to 2.00 s"),
        ([grounded("x", -0.2, 1.0)], "lasts from -0.20"),
        ([grounded("x", 1.0, 1.0)], "lasts from 1.00 to 1.00"),
        ([grounded("x", 1.2, 0.4)], "lasts from 1.20 to 0.40"),
        ([grounded("x", math.nan, 1.0)], "lasts from nan"),
        ([grounded("x", 1.0, 1.5), grounded("y", 0.2, 0.5, "man")], r"speech\[1\] begins at 0.20 s, before"),
        ([grounded("x", 0.2, 1.5), grounded("y", 1.0, 1.8)], r"woman begins at 1.00 s and speaks until 1.50 s"),
        ([grounded("x", 0.0, 1.8), grounded("y", 0.2, 0.4, "m"), grounded("z", 1.0, 1.9)], r"speech\[2\]: woman"),
        ([grounded("", 0.1, 0.5)], "no words"),
        ([grounded("...", 0.1, 0.5)], "no words"),
        ([grounded("<S><E>", 0.1, 0.5)], "no words"),
        ([grounded("x", 0.1, 0.5, " ")], "no speaker"),
        ([grounded("x", "0.1", 0.5)], "no times in seconds"),
        ([grounded("x", True, 1.5)], "no times in seconds"),
        ([grounded("x", None, 1.5)], "no times in seconds"),
        ([grounded(3, 0.1, 0.5)], "has no texts"),
        (["x"], "has no texts"),
        ([{"speaker": "a", "text": "b", "t0_s": 0, "t1_s": 1}], "has no texts"),
    ],
)
def test_what_is_not_believed(spans, problem):
    with pytest.raises(AnswerError, match=problem):
        read(*spans)


@pytest.mark.parametrize("answer", [None, [], "x", {}, {"speech": None}, {"speech": {}}])
def test_what_is_no_list_of_speech(answer):
    with pytest.raises(AnswerError, match="no list 'speech'"):
        read_spans(answer, 2.0)


def test_marks_in_words_do_not_end_a_span():
    (span,) = read(grounded("say <E> it <S> now", 0.1, 0.5))
    assert span.text == "say it now"


def test_attributes_that_the_prompt_would_read_as_something_else_are_left_out():
    (span,) = read(grounded("Hi", 0.1, 0.5, voice="hoarse", rate="on the left", emotion="fast", position="stage right"))
    assert (span.voice, span.rate, span.emotion, span.position) == ("", "", "", "stage right")


@pytest.mark.parametrize(
    ("spoken", "recognised", "share"),
    [
        (["Good morning, Ann."], ["good morning ann"], 1.0),
        (["Good morning", "Ann"], ["Good", "morning Ann!"], 1.0),
        (["Don’t go"], ["don't go"], 1.0),
        (["one two three four"], ["one two three five"], 0.75),
        (["one two"], ["two one"], 0.5),
        (["hello"], [], 0.0),
        ([], [], 1.0),
        (["Grüße aus Köln"], ["grüße aus köln"], 1.0),
    ],
)
def test_agreement_of_transcripts(spoken, recognised, share):
    assert agreement(spoken, recognised) == pytest.approx(share)
    assert agreement(recognised, spoken) == pytest.approx(share)
