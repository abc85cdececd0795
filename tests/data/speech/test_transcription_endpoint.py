"""Against a contract stub: what is proven is the form of requests and what becomes of answers, not recognition."""

from collections import deque

import numpy as np
import pytest

from nava.config.speech import RecognitionConfig
from nava.data.annotation.endpoint import AnswerError, BusyError, EndpointError
from nava.data.annotation.retry import RetryPolicy
from nava.data.speech.recognition import Recording, build_recogniser
from nava.data.speech.transcription_endpoint import TranscriptionEndpoint, words_of
from nava.runtime.errors import InputError
from tests.data.speech.sounds import write_wav
from tests.data.speech.transcription_stub import KEY, serving

pytest.importorskip("openai")

ANSWER = {
    "task": "transcribe",
    "language": "english",
    "duration": 2.08,
    "text": "Hello <S>there.",
    "words": [{"word": "Hello", "start": 0.1, "end": 0.4}, {"word": "<S>there.", "start": 0.5, "end": 0.9}],
}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("STUB_KEY", KEY)


@pytest.fixture
def recording(tmp_path):
    samples = np.zeros(33_280, np.float32)
    return Recording(samples, write_wav(tmp_path / "clip.wav", samples))


def settings(stub, **changes):
    form = {"backend": "endpoint", "model": "whisper-x", "base_url": stub.url, "api_key_variable": "STUB_KEY"}
    return RecognitionConfig(**(form | changes))


def client(stub, waits=None, **changes):
    sleep = (waits if waits is not None else []).append
    return TranscriptionEndpoint(settings(stub, **changes), RetryPolicy(4, sleep=sleep))


def test_the_request_is_of_the_documented_form(recording):
    with serving(answer=ANSWER) as stub:
        recogniser = build_recogniser(settings(stub, language="en"))
        words = recogniser.words(recording)
    assert stub.violations == []
    assert stub.seen == [
        {
            "model": "whisper-x",
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word", "segment"],
            "temperature": "0.0",
            "language": "en",
            "samples": 33_280,
            "rate_hz": 16_000,
        }
    ]
    assert [(word.text, word.t0_s, word.t1_s) for word in words] == [("Hello", 0.1, 0.4), ("S there.", 0.5, 0.9)]
    assert recogniser.backend == "endpoint:whisper-x (unproven)"


def test_faults_are_tried_again_and_a_server_that_asks_to_wait_is_obeyed(recording):
    waits = []
    with serving(answer=ANSWER, faults=deque([429, 500, "cut"])) as stub:
        assert len(client(stub, waits).words(recording)) == 2
    assert stub.requests == 4
    assert waits[0] >= 7


def test_a_server_that_does_not_answer_is_given_up(recording):
    with serving(answer=ANSWER, faults=deque(["hang"] * 4)) as stub, pytest.raises(BusyError, match=r"in time \(4 att"):
        client(stub, timeout_s=0.05).words(recording)


@pytest.mark.parametrize("fault", ["html", 503])
def test_a_server_that_stays_broken_fails_the_clip(recording, fault):
    with serving(answer=ANSWER, faults=deque([fault] * 4)) as stub, pytest.raises(EndpointError):
        client(stub).words(recording)


def test_a_refused_request_is_not_sent_again(recording):
    with serving(answer=ANSWER, faults=deque([400])) as stub, pytest.raises(EndpointError, match="stub says 400"):
        client(stub).words(recording)
    assert stub.requests == 1


@pytest.mark.parametrize("status", [401, 404])
def test_what_no_request_can_mend_ends_the_run_without_the_key_in_the_message(recording, status):
    with serving(answer=ANSWER, faults=deque([status])) as stub, pytest.raises(InputError) as caught:
        client(stub).words(recording)
    assert not isinstance(caught.value, EndpointError)
    assert KEY not in str(caught.value)


def test_a_key_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("STUB_KEY")
    with serving() as stub, pytest.raises(InputError, match="STUB_KEY, which is not set"):
        build_recogniser(settings(stub))


def test_segments_do_where_there_are_no_words():
    answer = {"text": "Hello there.", "segments": [{"text": " Hello there.", "start": 1.0, "end": 2.0}]}
    words = words_of(answer, "x")
    assert [word.text for word in words] == ["Hello", "there."]
    assert (words[0].t0_s, words[1].t1_s) == (1.0, pytest.approx(2.0))


def test_an_answer_that_says_nothing_is_an_answer():
    assert words_of({"text": "  "}, "x") == []


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"text": "Hello"},
        {"text": "a", "words": [{"word": "a", "start": 1.0}]},
        {"text": "a", "words": [{"word": "a", "start": 1.0, "end": 0.5}]},
        {"text": "a", "words": [{"word": "a", "start": "soon", "end": 0.5}]},
        {"text": "a", "words": [{"word": "a", "start": float("nan"), "end": 0.5}]},
        {"text": "a", "segments": ["a"]},
    ],
)
def test_an_answer_of_another_form_is_refused(answer):
    with pytest.raises(AnswerError):
        words_of(answer, "whisper-x at http://x")
