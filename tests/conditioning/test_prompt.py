"""The structured prompt: render and parse are inverse, faults are found where they are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.conditioning.prompt import (
    CAPTION_PATTERN,
    PromptError,
    StructuredPrompt,
    parse_prompt,
    speech_spans,
    validate_prompt,
)

FULL = StructuredPrompt(
    visual="A woman in a red coat sits at a table.",
    temporal="She looks up and starts to speak.",
    camera="A static medium shot, eye level.",
    audio="A calm female voice says <S>Good morning.<E> and then <S>Coffee?<E> over quiet rain.",
)


def test_render() -> None:
    assert FULL.render() == (
        "Visual: A woman in a red coat sits at a table.\n"
        "Temporal dynamics: She looks up and starts to speak.\n"
        "Camera: A static medium shot, eye level.\n"
        "Audio: A calm female voice says <S>Good morning.<E> and then <S>Coffee?<E> over quiet rain."
    )


def test_parse_is_the_inverse_of_render() -> None:
    assert parse_prompt(FULL.render()) == FULL
    assert parse_prompt(FULL.render()).speech == ["Good morning.", "Coffee?"]


def test_absent_parts_are_left_out() -> None:
    prompt = StructuredPrompt(audio="rain")
    assert prompt.render() == "Audio: rain"
    assert parse_prompt("Audio: rain") == prompt


def test_white_space_is_normalised() -> None:
    assert StructuredPrompt(visual="  a\n red\tbar ").render() == "Visual: a red bar"
    assert parse_prompt("Visual:a bar   Camera:\n static") == StructuredPrompt(visual="a bar", camera="static")


def test_a_plain_caption_is_visual() -> None:
    assert parse_prompt("A red bar flashes. ") == StructuredPrompt(visual="A red bar flashes.")


words = st.text(st.characters(codec="utf-8", exclude_characters="<>:\x00"), max_size=40).map(
    lambda text: " ".join(text.split())
)


@given(words, words, words, words)
def test_round_trip_of_any_words(visual: str, temporal: str, camera: str, audio: str) -> None:
    prompt = StructuredPrompt(visual, temporal, camera, audio)
    if any((visual, temporal, camera, audio)):
        assert parse_prompt(prompt.render()) == prompt


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "there is no text"),
        (" \n ", 0, "there is no text"),
        ("say <S>hi", 4, "without an <E> after it"),
        ("say hi<E>", 6, "without an <S> before it"),
        ("<S>one <S>two<E>", 7, "inside speech"),
        ("<S>one<E><E>", 9, "without an <S>"),
        ("<S> <E>", 4, "without words"),
    ],
)
def test_speech_marks(text: str, position: int, problem: str) -> None:
    with pytest.raises(PromptError, match=re.escape(problem)) as caught:
        validate_prompt(text)
    assert caught.value.position == position


marks = st.lists(st.sampled_from(["<S>", "<E>", "word "]), min_size=1, max_size=8).map("".join)


@given(marks)
def test_validation_agrees_with_the_pattern_of_the_data_gate(text: str) -> None:
    """The gate's regular expression allows an empty span; everything else must agree."""
    try:
        validate_prompt(text)
        valid = True
    except PromptError as error:
        valid = "without words" in str(error)
    if "<S><E>" not in text:
        assert valid == bool(re.match(CAPTION_PATTERN, text, flags=re.DOTALL))


def test_the_message_names_line_and_column() -> None:
    with pytest.raises(PromptError, match=r"line 2, column 8: <E> without an <S> before it \(near"):
        validate_prompt("Visual: a\nAudio: <E>")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Camera: x\nVisual: y", "'Visual:' must come before 'Camera:'"),
        ("Visual: x\nVisual: y", "'Visual:' occurs twice"),
        ("hello Visual: y", "text before the label 'Visual:'"),
    ],
)
def test_misplaced_parts(text: str, problem: str) -> None:
    with pytest.raises(PromptError, match=re.escape(problem)):
        parse_prompt(text)


def test_render_refuses_what_it_could_not_parse() -> None:
    with pytest.raises(PromptError, match="part 'visual' contains the label 'Audio:'"):
        StructuredPrompt(visual="a bar Audio: rain").render()
    with pytest.raises(PromptError, match="there is no text"):
        StructuredPrompt().render()
    with pytest.raises(PromptError, match="without an <E>"):
        StructuredPrompt(audio="<S>hi").render()


def test_speech_spans() -> None:
    assert speech_spans("a <S> one <E> b <S>two\nthree<E>") == ["one", "two\nthree"]
    assert speech_spans("nothing said") == []
