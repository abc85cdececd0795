"""The prompt that is written reads back as what it was written from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.conditioning.prompt import PromptError, SpeechSpan, parse_prompt
from nava.data.annotation.caption_parts import CaptionParts
from nava.data.annotation.prompt_writer import write_prompt
from tests.data.annotation.kept_clips import grounded, utterance

PARTS = CaptionParts("A woman at a desk.", "She looks up.", "A static shot.", "Rain on glass.")


def test_without_speech():
    assert write_prompt(PARTS, []) == (
        "Visual: A woman at a desk.\nTemporal dynamics: She looks up.\nCamera: A static shot.\nAudio: Rain on glass."
    )


def test_speech_with_speaker_attributes_and_time():
    spoken = [
        grounded("Hello.", 0.2, 0.94, "woman in red", voice="young woman", emotion="calm"),
        utterance("Hi.", 1, 2),
    ]
    prompt = parse_prompt(write_prompt(PARTS, spoken))
    assert prompt.spans == [
        SpeechSpan("Hello.", "woman in red", voice="young woman", emotion="calm", time="0.2 to 0.9 s"),
        SpeechSpan("Hi.", "Ada", time="1.0 to 2.0 s"),
    ]
    assert prompt.visual == PARTS.visual


def test_speech_alone_is_an_audio_part():
    assert write_prompt(CaptionParts(), [utterance("Hi.")]) == "Audio: Ada (0.2 to 0.9 s): <S>Hi.<E>"


@pytest.mark.parametrize(
    ("speaker", "name"),
    [
        ("SPEAKER_00", "SPEAKER_00"),
        ("Dr. Who", "Dr Who"),
        ("the old man by the door", "the old man by"),
        (None, ""),
        ("?!", ""),
        ("A: <S>", "A S"),
    ],
)
def test_names_are_made_such_that_the_prompt_can_hold_them(speaker, name):
    prompt = parse_prompt(write_prompt(PARTS, [utterance("Hi.", speaker=speaker)]))
    assert [span.speaker for span in prompt.spans] == [name]


def test_prose_without_a_full_stop_does_not_run_into_the_speaker():
    prompt = parse_prompt(write_prompt(CaptionParts(audio="Rain on glass"), [utterance("Hi.")]))
    assert prompt.spans[0].speaker == "Ada"


@pytest.mark.parametrize(
    ("parts", "speech"),
    [
        (PARTS, [utterance("")]),
        (PARTS, [utterance("x <E> y")]),
        (PARTS, [utterance("he read Visual: all of it")]),
        (CaptionParts(visual="x <S>"), []),
        (CaptionParts(), []),
    ],
)
def test_what_breaks_the_template_is_refused(parts, speech):
    with pytest.raises(PromptError):
        write_prompt(parts, speech)


spoken_words = st.text(st.characters(codec="utf-8", exclude_characters="<>:", categories=["L", "N", "P"]), min_size=1)
utterances = st.builds(
    utterance,
    spoken_words,
    st.floats(0, 5),
    st.floats(5, 10),
    st.text(st.characters(codec="utf-8"), max_size=20),
)


@given(st.lists(utterances, max_size=4))
def test_every_utterance_reads_back(speech):
    spans = parse_prompt(write_prompt(PARTS, speech)).spans
    assert [span.words for span in spans] == [" ".join(one["text"].split()) for one in speech]
    assert [span.times_s for span in spans] == [(round(one["t0_s"], 1), round(one["t1_s"], 1)) for one in speech]
