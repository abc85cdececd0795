"""Requests in every form that users and benchmarks write; what cannot be rewritten is refused with its field."""

import pytest

from nava.conditioning.speech import SpeechSpan
from nava.generation.request import Task
from nava.rewriting.request import MAX_CHARACTERS, TASKS, RewriteRequest
from nava.runtime.errors import InputError


def test_the_tasks_are_those_of_generation():
    assert set(TASKS) == {str(task) for task in Task}
    for name in TASKS:
        request, task = RewriteRequest("A dog.", task=name), Task(name)
        assert (request.makes_pictures, request.makes_sound) == (task.has_video, task.has_audio)


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "A street.", "speech": [{"speaker": "Ben", "words": "Hi."}], "audio_prompt": "cars, wind"},
        {"text": "A street.", "speech": {"speaker": "Ben", "text": "Hi."}, "audio_prompt": ["cars,", " wind "]},
        {
            "video_prompt": "A street.",
            "speech_prompt": {"speaker": "Ben", "text": "Hi."},
            "audio_prompt": ["cars, wind"],
        },
    ],
)
def test_lines_of_users_and_of_verse_bench_say_the_same(line):
    request = RewriteRequest.from_json(line | {"image_path": "kept elsewhere"}, "t2av")
    assert request == RewriteRequest("A street.", (SpeechSpan("Hi.", "Ben"),), "cars, wind", "T2AV")


def test_the_benchmarks_own_prompt_comes_before_another_models_rewrite():
    line = {"prompt": 'A man says, "Hi."', "video_prompt": "A man.", "speech_prompt": {"speaker": "man", "text": "Hi."}}
    assert RewriteRequest.from_json(line) == RewriteRequest("A man.", (SpeechSpan("Hi.", "man"),))


def test_a_speaker_who_is_described_and_not_named_is_kept_as_a_voice():
    described = "the man in the blue suit"
    request = RewriteRequest.from_json({"prompt": "A", "speech_prompt": {"speaker": described, "text": "Hi."}})
    assert request.speech == (SpeechSpan("Hi.", voice=described),)


@pytest.mark.parametrize("nothing", [None, "", {}, [], {"speaker": "", "text": ""}, [{"text": None}]])
def test_an_item_without_speech_has_none(nothing):
    assert RewriteRequest.from_json({"prompt": "A street.", "speech_prompt": nothing}).speech == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("text", "a request is an object, got str"),
        ({"prompt": 3}, "prompt: must be text"),
        ({"prompt": " "}, "no text, no speech and no sound"),
        ({"prompt": "A", "task": "V2A"}, "task: 'V2A' is unknown"),
        ({"prompt": "A", "task": 5}, "task: must be one of"),
        ({"prompt": "A", "audio_prompt": {"a": 1}}, "audio_prompt: must be text or a list"),
        ({"prompt": "A", "audio_prompt": "<S>hi<E>"}, "audio_prompt: <S> and <E> belong in prompt"),
        ({"prompt": "A <S>hi"}, "<S> without an <E> after it"),
        ({"prompt": "A", "speech": [{"words": "a <E> b"}]}, "the words hold the mark <E>"),
        ({"prompt": "A", "speech": ["fine", {"words": "hi", "loud": "yes"}]}, r"speech\[1\] must be an object"),
        ({"prompt": "A", "speech": [{"words": "hi", "speaker": "One, and two"}]}, "a speaker is one to 4 words"),
        ({"prompt": "\ud83d"}, "prompt: half a character at position 0"),
        ({"prompt": "a" * (MAX_CHARACTERS + 1)}, f"prompt: {MAX_CHARACTERS + 1} characters"),
    ],
)
def test_what_is_wrong_is_named(line, problem):
    with pytest.raises(InputError, match=problem):
        RewriteRequest.from_json(line)


def test_quotes_are_speech_only_where_it_is_said():
    text = 'A sign reads "OPEN". <S>Say "hi".<E> He says “Good day.”'
    assert RewriteRequest(text).marked_prompt == text
    marked = RewriteRequest(text, quotes_are_speech=True).marked_prompt
    assert marked == 'A sign reads <S>OPEN<E>. <S>Say "hi".<E> He says <S>Good day.<E>'
