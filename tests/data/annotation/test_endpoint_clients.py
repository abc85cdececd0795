"""Both clients against the contract stub: requests in the documented format, every fault told apart."""

import pytest

from nava.data.annotation.endpoint import BusyError, RefusedError, error_of_status, read_key
from nava.data.annotation.metered_client import read_answer
from nava.data.annotation.request import Usage
from nava.runtime.errors import InputError, RunStoppedError
from tests.data.annotation.conftest import ENDPOINTS, chat, faults, gemini, jpeg, mp4, request, wav
from tests.data.annotation.contract_stub import Fault


@pytest.mark.parametrize("api", ENDPOINTS)
def test_text_and_every_kind_of_media_arrive_decodable(stub, tmp_path, api):
    reply = ENDPOINTS[api](stub).send(request("Look.", jpeg(), mp4(tmp_path), wav()))
    assert reply.text == '{"words": "hello"}'
    assert reply.finished
    (seen,) = stub.seen
    assert (seen.api, seen.text, seen.instructions) == (api, "Look.", "Greet.")
    assert seen.media == [("image", (32, 24)), ("video", 12), ("audio", 1600)]


@pytest.mark.parametrize("api", ENDPOINTS)
def test_the_bill_counts_thoughts_as_output(stub, api):
    assert ENDPOINTS[api](stub).send(request()).usage == Usage(1000, 100)


def test_sound_goes_as_either_part_that_servers_know(stub):
    chat(stub).send(request(wav()))
    chat(stub, audio_part="audio_url").send(request(wav()))
    kinds = [seen.body["messages"][1]["content"][0]["type"] for seen in stub.seen]
    assert kinds == ["input_audio", "audio_url"]
    assert [seen.media for seen in stub.seen] == [[("audio", 1600)]] * 2


def test_the_server_learns_nothing_of_this_machine(stub):
    chat(stub).send(request())
    (seen,) = stub.seen
    telling = ("lang", "os", "arch", "runtime", "runtime-version", "package-version")
    assert not {f"x-stainless-{name}" for name in telling} & set(seen.headers)


def test_variables_of_other_programs_do_not_redirect_a_client(stub, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", "another")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", "httpx")
    for make in ENDPOINTS.values():
        assert make(stub).send(request()).finished


@pytest.mark.parametrize("api", ENDPOINTS)
@pytest.mark.parametrize(
    "fault",
    [Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.CLOSED, Fault.CUT_BODY, Fault.NO_JSON_BODY, Fault.TOO_MANY],
)
def test_faults_that_pass_are_worth_another_try(stub, api, fault):
    stub.faults = faults(fault)
    with pytest.raises(BusyError) as caught:
        ENDPOINTS[api](stub).send(request())
    assert len(stub.seen) == 1, "the library tried again by itself"
    assert ENDPOINTS[api](stub).model in str(caught.value)


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_server_that_hangs_is_given_up(stub, api):
    stub.faults = faults(Fault.HANGS)
    with pytest.raises(BusyError, match="in time"):
        ENDPOINTS[api](stub, timeout_s=0.3).send(request())


@pytest.mark.parametrize("api", ENDPOINTS)
def test_the_wait_that_a_429_asks_for_is_read(stub, api):
    stub.retry_after = "7"
    stub.faults = faults(Fault.TOO_MANY, Fault.TOO_MANY_DETAILS)
    with pytest.raises(BusyError) as caught:
        ENDPOINTS[api](stub).send(request())
    assert caught.value.retry_after_s == 7.0


def test_gemini_names_the_wait_in_the_body(stub):
    stub.retry_after = "7.5"
    stub.faults = faults(Fault.TOO_MANY_DETAILS)
    with pytest.raises(BusyError) as caught:
        gemini(stub).send(request())
    assert caught.value.retry_after_s == 7.5


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_request_at_fault_fails_alone(stub, api):
    stub.faults = faults(Fault.BAD_REQUEST)
    with pytest.raises(RefusedError, match=r"HTTP 400: .*injected 400"):
        ENDPOINTS[api](stub).send(request())


@pytest.mark.parametrize("api", ENDPOINTS)
@pytest.mark.parametrize(("fault", "advice"), [(Fault.NO_KEY, "api_key_variable"), (Fault.NO_MODEL, "base_url")])
def test_what_no_request_can_survive_stops_the_run(stub, api, fault, advice):
    stub.faults = faults(fault)
    with pytest.raises(RunStoppedError, match=advice):
        ENDPOINTS[api](stub).send(request())


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_refusal_is_billed_and_final(stub, api):
    stub.faults = faults(Fault.REFUSAL)
    reply = ENDPOINTS[api](stub).send(request())
    assert reply.usage.input_tokens == 1000
    with pytest.raises(RefusedError, match="refused"):
        read_answer(reply, 100)


@pytest.mark.parametrize("api", ENDPOINTS)
def test_an_answer_cut_at_its_length_says_so(stub, api):
    stub.faults = faults(Fault.CUT_LENGTH)
    assert not ENDPOINTS[api](stub).send(request()).finished


@pytest.mark.parametrize("api", ENDPOINTS)
def test_backends_that_never_ran_for_real_say_so(stub, api):
    endpoint = ENDPOINTS[api](stub)
    assert endpoint.backend == f"{api}:{endpoint.model} (unproven)"


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_wrong_key_is_no_violation_of_ours(stub, api):
    with pytest.raises(RefusedError, match="HTTP 400"):
        ENDPOINTS[api](stub, key="wrong").send(request())
    assert len(stub.violations) == 1
    assert "key" in stub.violations.pop() or api == "openai"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RefusedError), (413, RefusedError), (422, RefusedError), (408, BusyError), (409, BusyError)],
)
def test_which_statuses_are_tried_again(status, kind):
    assert type(error_of_status(status, "x", "model at url")) is kind


def test_keys_come_from_a_variable_that_must_be_set(monkeypatch):
    monkeypatch.delenv("NAVA_TEST_KEY", raising=False)
    with pytest.raises(InputError, match=r"annotation\.picture\.api_key_variable .*NAVA_TEST_KEY, which is not set"):
        read_key("NAVA_TEST_KEY", "annotation.picture.api_key_variable")
    monkeypatch.setenv("NAVA_TEST_KEY", " secret\n")
    assert read_key("NAVA_TEST_KEY", "x") == "secret"
    assert read_key("", "x") == "none"
