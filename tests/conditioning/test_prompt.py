"""The structured prompt: render and parse are inverse, faults are found where they are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.conditioning.prompt import (
    CAPTION_PATTERN,
    PromptError,
    SpeechSpan,
    StructuredPrompt,
    parse_prompt,
    prompt_text,
    speech_in,
    speech_spans,
    validate_prompt,
)
from nava.runtime.errors import InputError

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


SPOKEN = StructuredPrompt(
    visual="Two people at a table.",
    audio="Soft rain. Anna (woman, cheerful, fast, left): <S>Hello<E> Ben: <S>Hi<E> over the rain",
)


def test_spans_of_a_structured_prompt() -> None:
    anna = SpeechSpan("Hello", "Anna", "woman", "cheerful", "fast", "left")
    assert SPOKEN.spans == [anna, SpeechSpan("Hi", "Ben")]
    text = SPOKEN.render()
    assert speech_in(text) == SPOKEN.spans
    assert [text[span.start : span.end] for span in speech_in(text)] == ["<S>Hello<E>", "<S>Hi<E>"]


def test_a_label_is_no_speaker() -> None:
    assert speech_in("Visual: a bar\nAudio: <S>Hello<E>") == [SpeechSpan("Hello")]
    assert speech_in("Visual: a bar\nAudio: Anna: <S>Hello<E>") == [SpeechSpan("Hello", "Anna")]
    assert speech_in("Anna: <S>Hello<E>") == [SpeechSpan("Hello", "Anna")]


def test_attributes_are_held_to_the_template_in_labelled_prompts_only() -> None:
    speech = "A girl (about five, in red, smiling): <S>Hello<E>"
    assert parse_prompt(speech) == StructuredPrompt(visual=speech)
    assert speech_in(speech) == [SpeechSpan("Hello", "A girl")]
    text = f"Visual: a garden\nAudio: {speech}"
    for read in (parse_prompt, speech_in):
        with pytest.raises(PromptError, match=r"line 2, column 28: 'about five' and 'in red' both say") as caught:
            read(text)
        assert text[caught.value.position :].startswith("in red")


def test_json_of_a_prompt() -> None:
    value = SPOKEN.to_json()
    assert value == {
        "visual": "Two people at a table.",
        "audio": [
            "Soft rain.",
            {
                "words": "Hello",
                "speaker": "Anna",
                "voice": "woman",
                "emotion": "cheerful",
                "rate": "fast",
                "position": "left",
            },
            {"words": "Hi", "speaker": "Ben"},
            "over the rain",
        ],
    }
    assert StructuredPrompt.from_json(value) == SPOKEN
    assert StructuredPrompt(audio="rain").to_json() == {"audio": "rain"}
    assert StructuredPrompt.from_json({"audio": "rain"}) == StructuredPrompt(audio="rain")


@given(words.filter(lambda text: not set(text) & set(".,;!?。，；！？、…()（）\"”'’-：")), words, words)
def test_json_round_trip(audio: str, visual: str, said: str) -> None:
    if said:
        prompt = StructuredPrompt.from_json({"visual": visual, "audio": [audio, {"words": said, "speaker": "Anna"}]})
        assert prompt.spans == [SpeechSpan(said, "Anna")]
        assert StructuredPrompt.from_json(prompt.to_json()) == prompt


def test_the_prompt_of_a_request() -> None:
    plain = "他说：<S>你好<E>,  and leaves"
    assert prompt_text(plain) == plain
    assert prompt_text(SPOKEN.to_json()) == SPOKEN.render()
    with pytest.raises(PromptError, match="without an <E>"):
        prompt_text("<S>hi")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"visual": "a", "sound": "b"}, "a structured prompt is an object with visual, temporal, camera, audio"),
        (["a"], "a structured prompt is an object"),
        (3, "a structured prompt is an object"),
        ({"visual": 3}, "part 'visual' of the prompt must be text, got 3"),
        ({"audio": ["rain", 3]}, r"audio\[1\] must be an object with 'words'"),
        ({}, "there is no text"),
        ({"visual": "a Camera: b"}, "contains the label 'Camera:'"),
        ({"audio": "<S>a"}, "without an <E>"),
    ],
)
def test_json_that_is_no_prompt(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prompt_text(value)
