"""The parts of a caption, from the answers of models."""

import pytest

from nava.conditioning.speech import PromptError
from nava.data.annotation.caption_parts import PARTS, CaptionParts, with_speech, without_marks
from nava.data.annotation.endpoint import AnswerError

ANSWER = {"visual": "A desk.", "temporal": "A lamp\n flickers.", "camera": "Close-up.", "audio": "Hum."}


def test_an_answer_on_one_line_per_part():
    parts = CaptionParts.from_answer(ANSWER)
    assert parts.temporal == "A lamp flickers."
    assert parts.text == "A desk. A lamp flickers. Close-up. Hum."
    assert CaptionParts(**parts.to_json()) == parts


def test_only_the_parts_asked_for_are_taken():
    assert CaptionParts.from_answer(ANSWER, ("audio",)) == CaptionParts(audio="Hum.")
    assert CaptionParts(audio="Hum.").text == "Hum."


def test_a_part_that_begins_with_its_own_label_loses_it():
    assert CaptionParts.from_answer(ANSWER | {"camera": "Camera: Static."}).camera == "Static."


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is no text"),
        (["x"], "is no text"),
        ("", "has 0 characters"),
        ("  \n ", "has 0 characters"),
        ("word " * 1000, "has 4999 characters"),
        ("She says <S>hi", "holds '<S>'"),
        ("hi<E>", "holds '<E>'"),
        ("A desk. Audio: hum. Camera: far. Visual: x.", "holds '"),
    ],
)
def test_answers_that_are_of_no_use(name, value, problem):
    with pytest.raises(AnswerError, match=problem) as caught:
        CaptionParts.from_answer(ANSWER | {name: value})
    assert f"part '{name}'" in str(caught.value)


@pytest.mark.parametrize("answer", [None, "text", [ANSWER], 3])
def test_what_is_no_object(answer):
    with pytest.raises(AnswerError, match="no object"):
        CaptionParts.from_answer(answer)


def test_speech_follows_the_description():
    assert with_speech("A desk.", ["Hello.", "Bye."]) == "A desk. <S>Hello.<E> <S>Bye.<E>"
    assert with_speech("A desk.", []) == "A desk."
    with pytest.raises(PromptError, match="without words"):
        with_speech("A desk.", [""])


@pytest.mark.parametrize(
    ("text", "clean"),
    [("a <S>b<E> c", "a b c"), ("<<S>E>", "< E>"), (" a\nb ", "a b"), ("1 < 2", "1 < 2"), ("<E>", "")],
)
def test_words_from_outside_carry_no_marks(text, clean):
    assert without_marks(text) == clean
