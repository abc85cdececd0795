"""Spoken words are found where they stand, and a changed letter, an added word or another speaker is seen."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.conditioning.speech import SpeechSpan
from nava.rewriting.request import MAX_CHARACTERS, RewriteRequest
from nava.rewriting.spans import sections, speech_problems, structured_already, unmarked_quotes, wanted_speech
from nava.runtime.errors import InputError

WANTED = [SpeechSpan("Good morning.", "Anna"), SpeechSpan("Hi.", "Ben", emotion="calm"), SpeechSpan("Hi.")]


def request(prompt, *speech, **fields):
    return RewriteRequest(prompt, tuple(speech), **fields)


@pytest.mark.parametrize(
    ("prompt", "speaker", "prose"),
    [
        ("A desk. Anna: <S>Hi.<E>", "Anna", ["A desk."]),
        ("A desk. Anna says: <S>Hi.<E>", "Anna", ["A desk.", "Anna says"]),
        ("The man whispers quietly: <S>Hi.<E>", "The man", ["The man whispers quietly"]),
        ("He says: <S>Hi.<E>", "", ["He says"]),
        ("A man in a grey suit says: <S>Hi.<E> He waves.", "", ["A man in a grey suit says", "He waves."]),
        ("Someone says, <S>Hi.<E>", "", ["Someone says"]),
        ("营造出演讲氛围，男子说道：<S>Hi.<E>。", "男子", ["营造出演讲氛围，", "男子说道", "。"]),
        ("画面中心是一位女子，她说：<S>Hi.<E>", "", ["画面中心是一位女子，", "她说"]),
    ],
)
def test_who_speaks_is_kept_without_the_verb_and_the_verb_stays_in_the_prose(prompt, speaker, prose):
    (section,) = sections(prompt)
    assert list(section.prose) == prose
    assert section.spans == (SpeechSpan("Hi.", speaker),)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("A dog. Audio: rain", [("", "A dog."), ("audio", "rain")]),
        ("A dog.\nsound: rain\nCAMERA : close", [("", "A dog."), ("audio", "rain"), ("camera", "close")]),
        ("A dog, Temporal dynamics: it runs", [("", "A dog,"), ("temporal", "it runs")]),
        ("Her camera: an old Leica.", [("", "Her camera: an old Leica.")]),
    ],
)
def test_labels_are_read_as_users_write_them(prompt, parts):
    assert [(section.part, " ".join(section.prose)) for section in sections(prompt)] == parts


@pytest.mark.parametrize("filling", ["\n", " ", ". ", '"', "<S>a<E>", "Audio: ", "says: "])
def test_long_prompts_are_no_work(filling):
    text = filling * (MAX_CHARACTERS // len(filling) - 1)
    began_s = time.perf_counter()
    sections(text)
    unmarked_quotes(request(text + "x"))
    assert time.perf_counter() - began_s < 2.0


def test_a_label_within_speech_is_speech():
    (section,) = sections("She says: <S>The sound. audio: is off.<E>")
    assert section.spans[0].words == "The sound. audio: is off."


def test_speech_that_the_template_cannot_hold_is_refused_and_not_altered():
    with pytest.raises(InputError, match=r"'Turn the Camera: left' hold the template's label 'Camera:'"):
        wanted_speech(request("She says: <S>Turn the Camera: left<E>"))


def test_speech_given_twice_counts_once_and_each_says_what_the_other_leaves_open():
    found = wanted_speech(request("Anna says: <S>Good  day.<E>", SpeechSpan("Good day.", emotion="calm")))
    assert found == [SpeechSpan("Good day.", "Anna", emotion="calm")]


def test_speech_given_twice_and_differently_is_refused():
    with pytest.raises(InputError, match=r"the prompt marks 'Good day\.', but 'Good night\.' is given"):
        wanted_speech(request("<S>Good day.<E>", SpeechSpan("Good night.")))


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (WANTED[:2], "'Hi.' is missing"),
        ([*WANTED, SpeechSpan("Bye.")], "'Bye.' was not given"),
        ([SpeechSpan("Good Morning.", "Anna"), *WANTED[1:]], "'Good morning.' is missing or changed"),
        ([SpeechSpan("Good morning", "Anna"), *WANTED[1:]], "'Good morning.' is missing or changed"),
        ([SpeechSpan("Guten Morgen.", "Anna"), *WANTED[1:]], "'Guten Morgen.' was not given"),
        ([WANTED[1], WANTED[0], WANTED[2]], "the order of the speech is changed"),
        ([SpeechSpan("Good morning.", "Ada"), *WANTED[1:]], "speaker of speech 1 is 'Ada' and must be 'Anna'"),
        ([SpeechSpan("Good morning."), *WANTED[1:]], "speaker of speech 1 is '' and must be 'Anna'"),
        ([WANTED[0], SpeechSpan("Hi.", "Ben", emotion="angry"), WANTED[2]], "emotion of speech 2 is 'angry'"),
    ],
)
def test_whatever_is_wrong_with_returned_speech_is_said(found, problem):
    assert any(problem in said for said in speech_problems(WANTED, found))


@pytest.mark.parametrize(
    "found",
    [
        WANTED,
        [SpeechSpan("Good \n morning.", "ANNA"), *WANTED[1:]],
        [SpeechSpan("Good morning.", "Anna", voice="young woman"), WANTED[1], SpeechSpan("Hi.", "a child")],
    ],
)
def test_white_space_and_what_was_left_open_are_no_faults(found):
    assert speech_problems(WANTED, found) == []


WORDS = st.text(alphabet="ab .'A你", min_size=1, max_size=4).filter(lambda text: text.strip())


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4))
def test_only_the_same_words_in_the_same_order_pass(wanted, found):
    same = [" ".join(words.split()) for words in wanted] == [" ".join(words.split()) for words in found]
    assert (speech_problems([SpeechSpan(w) for w in wanted], [SpeechSpan(w) for w in found]) == []) is same


@pytest.mark.parametrize(
    ("prompt", "speech", "kept"),
    [
        ("Visual: A dog.\nAudio: Ann: <S>Come!<E>", [], True),
        ("Visual: A dog.\nAudio: Ann: <S>Come!<E>", [SpeechSpan("Come!", "Ann")], True),
        ("Visual: A dog.\nAudio: Ann: <S>Come!<E>", [SpeechSpan("Go!")], False),
        ("Visual: A dog. Ann: <S>Come!<E>\nAudio: rain", [], False),
        ("Audio: rain\nVisual: A dog.", [], False),
        ("A dog. Audio: rain", [], False),
        ("A dog <S>Audio: off<E>", [], False),
        ("A dog.", [], False),
    ],
)
def test_what_is_structured_already_is_told_from_what_is_not(prompt, speech, kept):
    assert (structured_already(request(prompt, *speech)) is not None) is kept


@pytest.mark.parametrize(
    ("prompt", "noted"),
    [
        ('A woman says, "Hi."', True),
        ("她说：“你好。”", True),
        ('A sign with "OPEN" on it.', False),
        ('She reads: <S>He says "no".<E>', False),
    ],
)
def test_quotes_that_may_be_speech_are_pointed_out(prompt, noted):
    assert bool(unmarked_quotes(request(prompt))) is noted
    assert not unmarked_quotes(request(prompt, quotes_are_speech=True))
