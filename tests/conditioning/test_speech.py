"""Speech in prompts: who says what how, read from text and written to it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.conditioning import speech
from nava.conditioning.speech import (
    ATTRIBUTES,
    MAX_SPEAKER_CHARACTERS,
    Piece,
    PromptError,
    SpeechSpan,
    check_marks,
    kind_of,
    read_speech,
    render_speech,
    time_of,
)
from nava.runtime.errors import InputError

ANNA = SpeechSpan("Hello there.", "Anna", "young woman", "cheerful", "fast", "on the left")
TEXT = (
    "Soft rain, then thunder. Anna (young woman, cheerful, fast, on the left): <S>Hello there.<E> "
    "Ben: <S>Hi.<E>, and a voice says <S>Who is there?<E> over the rain"
)


def only_span(text: str) -> SpeechSpan:
    (span,) = (piece for piece in read_speech(text) if isinstance(piece, SpeechSpan))
    return span


def test_read_prose_and_speech() -> None:
    assert read_speech(TEXT) == [
        "Soft rain, then thunder.",
        ANNA,
        SpeechSpan("Hi.", "Ben"),
        ", and a voice says",
        SpeechSpan("Who is there?"),
        "over the rain",
    ]
    assert render_speech(read_speech(TEXT)) == TEXT


def test_positions_are_those_of_the_marks() -> None:
    for piece in read_speech(TEXT):
        if isinstance(piece, SpeechSpan):
            assert TEXT[piece.start : piece.end] == f"<S>{piece.words}<E>"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", {}),
        ("Anna: ", {"speaker": "Anna"}),
        ("Anna:", {"speaker": "Anna"}),
        ("Speaker 1: ", {"speaker": "Speaker 1"}),
        ("Soft rain. Old Mary-Ann: ", {"speaker": "Old Mary-Ann"}),
        ("in the rain, O'Neill (sad): ", {"speaker": "O'Neill", "emotion": "sad"}),
        ("(whispering): ", {"emotion": "whispering"}),
        ("Anna (left, slowly, woman): ", {"speaker": "Anna", "position": "left", "rate": "slowly", "voice": "woman"}),
        ("Anna ( very   fast ,off-screen ) : ", {"speaker": "Anna", "rate": "very fast", "position": "off-screen"}),
        (
            "小红（女孩，欢快，语速快，左侧）：",
            {"speaker": "小红", "voice": "女孩", "emotion": "欢快", "rate": "语速快", "position": "左侧"},
        ),
        ("雨声。李雷：", {"speaker": "李雷"}),
        ("Anna () : ", {"speaker": "Anna"}),
        ("(rain) (sad): ", {"emotion": "sad"}),
        ('"Stop!"\nOld  Ben\t(sad)\n:\n', {"speaker": "Old Ben", "emotion": "sad"}),
        ("a: b: ", {"speaker": "b"}),
        # Prose: no colon, or more words than a name has.
        ("A calm female voice says ", {}),
        ("The narrator speaks in a low voice: ", {}),
        ("It is 5: 30. ", {}),
        ("one two three four five (sad): ", {}),
        ("a <b): ", {}),
        ("): ", {}),
        (" : ", {}),
        (":", {}),
    ],
)
def test_heads(head: str, expected: dict[str, str]) -> None:
    assert only_span(head + "<S>hi<E>") == SpeechSpan("hi", **expected)


class Counted:
    """An expression that notes how long the texts are that it is tried on."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.lengths: list[int] = []

    def fullmatch(self, text: str) -> re.Match[str] | None:
        self.lengths.append(len(text))
        return self.pattern.fullmatch(text)


MANY = 200_000


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (" " * MANY, {}),
        ("Anna:" + " " * MANY, {"speaker": "Anna"}),
        ("Anna" + " " * MANY + ":", {"speaker": "Anna"}),
        ("\n" * MANY + "Anna" + "\u3000" * MANY + "Bell" + " " * MANY + "(sad)" + "\t" * MANY + ":", None),
        ("a" * MANY, {}),
        ("a" * MANY + ":", {}),
        ("a " * MANY + ":", {}),
        ("a-" * MANY + "(sad):", {}),
        (":" * MANY, {}),
        (": " * MANY, {}),
        ("a:" * MANY, {"speaker": "a"}),
        ("(" * MANY + ":", {}),
        (")" * MANY + ":", {}),
        ("()" * MANY + ":", {}),
        ("(sad) " * MANY + ":", {"emotion": "sad"}),
        ("." * MANY + " (sad):", {"emotion": "sad"}),
        ("(" + "left " * MANY + "):", None),
        ("(" + "a" * MANY + "):", None),
    ],
)
def test_no_prompt_is_much_work_to_read(
    head: str, expected: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What expressions are tried on is bounded for names, and for attributes no more than there is, once per kind."""
    name = Counted(speech._SPEAKER)
    kinds = {kind: Counted(pattern) for kind, pattern in speech._KINDS.items()}
    monkeypatch.setattr(speech, "_SPEAKER", name)
    monkeypatch.setattr(speech, "_KINDS", kinds)
    span = only_span(head + "<S>hi<E>")
    assert len(name.lengths) <= 1
    assert max(name.lengths, default=0) <= MAX_SPEAKER_CHARACTERS
    assert all(sum(kind.lengths) <= len(head) for kind in kinds.values())
    if expected is not None:
        assert span == SpeechSpan("hi", **expected)


def test_the_prose_before_each_speech_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def noted(prose: str) -> speech._Head | None:
        read.append(len(prose))
        return original(prose)

    original = speech._read_head
    monkeypatch.setattr(speech, "_read_head", noted)
    text = "Rain. Anna (sad): <S>hi<E> " * 5_000
    pieces = read_speech(text, range(0, len(text), 7), strict=False)
    assert sum(isinstance(piece, SpeechSpan) for piece in pieces) == len(read) == 5_000
    assert sum(read) <= len(text)


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        ("fast", "rate"),
        ("very slow", "rate"),
        ("at the left", "position"),
        ("off-screen", "position"),
        ("from the background", "position"),
        ("elderly woman", "voice"),
        ("woman in her sixties", "voice"),
        ("deep male voice", "voice"),
        ("human", "emotion"),
        ("cheerful", "emotion"),
        ("in high spirits", "emotion"),
        ("欢快", "emotion"),
        ("画外", "position"),
        ("低沉男声", "voice"),
    ],
)
def test_kinds_of_attributes(attribute: str, kind: str) -> None:
    assert kind_of(attribute) == kind


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("Anna (fast, slow): <S>hi<E>", 12, "'fast' and 'slow' both say the rate of this speech"),
        ("rain. Anna (sad, tall): <S>hi<E>", 17, "'sad' and 'tall' both say the emotion"),
        ("Anna (sad,, fast): <S>hi<E>", 10, "an empty attribute of speech"),
        ("Anna (sad, ): <S>hi<E>", 11, "an empty attribute of speech"),
        ("a <S>b<E>\nAnna (left, right): <S>hi<E>", 22, "both say the position"),
    ],
)
def test_attributes_that_cannot_be_told_apart(text: str, position: int, problem: str) -> None:
    with pytest.raises(PromptError, match=re.escape(problem)) as caught:
        read_speech(text)
    assert caught.value.position == position


def test_what_cannot_be_told_apart_is_prose_where_that_is_allowed() -> None:
    text = "A girl (about five, in red, smiling): <S>hi<E>"
    pieces = read_speech(text, strict=False)
    assert pieces == ["A girl (about five, in red, smiling):", SpeechSpan("hi", "A girl")]


def test_the_message_names_line_and_column() -> None:
    with pytest.raises(
        PromptError, match=r"line 2, column 13: 'left' and 'right' both .* \(near '.*right\): <S>hi<E>'\)"
    ):
        read_speech("a <S>b<E>\nAnna (left, right): <S>hi<E>")


def test_breaks_begin_prose_anew() -> None:
    text = "Audio track Anna: <S>hi<E>"
    assert only_span(text).speaker == "Audio track Anna"
    assert read_speech(text, [len("Audio track")]) == ["Audio track", SpeechSpan("hi", "Anna")]


@pytest.mark.parametrize("text", ["<S>a", "a<E>", "<S><S>a<E><E>", "<S> <E>"])
def test_marks_are_checked(text: str) -> None:
    with pytest.raises(PromptError):
        check_marks(text)
    with pytest.raises(PromptError):
        read_speech(text)


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        (SpeechSpan(" "), "without words between them"),
        (SpeechSpan("a <E> b"), "the words hold the mark <E>"),
        (SpeechSpan("hi", speaker="Dr. No"), "a speaker is one to 4 words"),
        (SpeechSpan("hi", speaker="one two three four five"), "a speaker is one to 4 words"),
        (SpeechSpan("hi", speaker="a" * 201), "200 characters at most"),
        (SpeechSpan("hi", emotion="left"), "the emotion 'left' would be read as a position"),
        (SpeechSpan("hi", rate="brisk"), "the rate 'brisk' would be read as a emotion"),
        (SpeechSpan("hi", emotion="sad, tired"), "the emotion of speech is words without ','"),
        (SpeechSpan("hi", position="left (far)"), "the position of speech is words without '('"),
    ],
)
def test_spans_that_cannot_be_written(span: SpeechSpan, problem: str) -> None:
    with pytest.raises(PromptError, match=re.escape(problem)):
        span.render()


def test_prose_with_marks_is_refused() -> None:
    with pytest.raises(PromptError, match="prose holds the mark <S>; give speech as a span"):
        render_speech(["a <S>b<E>"])


def test_prose_before_a_speaker_is_closed() -> None:
    assert render_speech(["Soft rain", SpeechSpan("Hi", "Ben"), "then silence"]) == (
        "Soft rain. Ben: <S>Hi<E> then silence"
    )
    assert render_speech(["She says", SpeechSpan("Hi")]) == "She says <S>Hi<E>"


plain_words = st.text(st.sampled_from("abcdefg éß红"), min_size=1, max_size=12).map(lambda text: " ".join(text.split()))
said = plain_words.filter(bool)
speakers = st.lists(st.sampled_from(["Anna", "Ben", "Speaker", "2", "小红", "O'Neill"]), max_size=4).map(" ".join)
spans = st.builds(
    SpeechSpan,
    words=said,
    speaker=speakers,
    voice=st.sampled_from(["", "woman", "old man", "女声"]),
    emotion=st.sampled_from(["", "cheerful", "deeply moved", "悲伤"]),
    rate=st.sampled_from(["", "fast", "very slow"]),
    position=st.sampled_from(["", "left", "on the right", "off-screen"]),
)
prose = plain_words.filter(bool).map(lambda text: text + ".")


@given(st.lists(st.one_of(prose, spans), max_size=6))
def test_pieces_come_back_from_their_text(pieces: list[Piece]) -> None:
    """Neighbouring prose is one piece of prose; everything else is as it was."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += " " + piece
        else:
            joined.append(piece)
    assert read_speech(render_speech(pieces)) == joined


fragments = st.lists(
    st.sampled_from(
        [
            "Anna",
            "rain ",
            ". ",
            ", ",
            ": ",
            "(",
            ")",
            "fast",
            "left ",
            " woman",
            "<S>",
            "<S>hi<E>",
            "<E>",
            "\n",
            "，",
            "（",
            "）",
            "：",
            "小",
        ]
    ),
    max_size=14,
).map("".join)


@given(fragments)
def test_the_normal_form_is_stable(text: str) -> None:
    """Whatever can be read is written in a form that reads the same and is written the same."""
    try:
        pieces = read_speech(text, strict=False)
        normal = render_speech(pieces)
    except PromptError:
        return
    again = read_speech(normal, strict=False)
    assert render_speech(again) == normal
    assert [piece.words for piece in again if isinstance(piece, SpeechSpan)] == [
        piece.words for piece in pieces if isinstance(piece, SpeechSpan)
    ]


@given(st.text(alphabet="ab<>SE():,. \n", max_size=40))
def test_nothing_but_prompt_errors(text: str) -> None:
    position = 0
    try:
        read_speech(text)
    except PromptError as error:
        position = error.position
    assert 0 <= position <= len(text)


@given(spans)
def test_json_of_a_span(span: SpeechSpan) -> None:
    assert SpeechSpan.from_json(span.to_json(), "speech") == span
    assert set(span.to_json()) <= {"words", "speaker", *ATTRIBUTES}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"words": "hi", "emotoin": "sad"}, r"audio\[1\] must be an object with 'words' and at most speaker, voice"),
        ({"speaker": "Anna"}, r"audio\[1\] must be an object with 'words'"),
        (["hi"], r"audio\[1\] must be an object"),
        ({"words": 3}, r"audio\[1\]\.words must be text, got 3"),
    ],
)
def test_json_of_something_else(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpeechSpan.from_json(value, "audio[1]")


@pytest.mark.parametrize(
    ("written", "times_s"),
    [
        ("0.4 to 1.9 s", (0.4, 1.9)),
        ("from 0 s to 2 seconds", (0.0, 2.0)),
        ("1-2.5 s", (1.0, 2.5)),
        ("1 – 2 S", (1.0, 2.0)),
    ],
)
def test_the_time_of_speech_is_told_from_the_other_attributes(written: str, times_s: tuple[float, float]) -> None:
    (span,) = read_speech(f"Anna (woman, {written}, fast): <S>Hi.<E>")
    assert span == SpeechSpan("Hi.", "Anna", voice="woman", rate="fast", time=written)
    assert isinstance(span, SpeechSpan)
    assert span.times_s == times_s


@pytest.mark.parametrize("written", ["20 to 30", "two to three seconds", "to 3 s", "30 s"])
def test_what_is_no_span_of_time_stays_the_emotion(written: str) -> None:
    assert kind_of(written) == "emotion"
    assert SpeechSpan("Hi.", emotion=written).times_s is None


def test_a_stated_time_is_read_back() -> None:
    span = SpeechSpan("Hi.", "Ben", time=time_of(0.42, 12.0))
    assert span.render() == "Ben (0.4 to 12.0 s): <S>Hi.<E>"
    assert read_speech(span.render()) == [span]
    assert SpeechSpan.from_json(span.to_json(), "x") == span
