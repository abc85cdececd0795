"""The client with everything around it: paid once, tried again, stopped at the budget."""

import threading

import pytest

from nava.data.annotation.cost import BudgetSpentError, CostAccount
from nava.data.annotation.endpoint import AnswerError, BusyError, RefusedError
from nava.data.annotation.rate_limit import RateLimiter
from nava.data.annotation.request import AnswerForm, Media, MediaKind
from nava.data.annotation.response_cache import ResponseCache
from nava.runtime.errors import RunStoppedError
from tests.data.annotation.conftest import (
    ENDPOINTS,
    FORM,
    Waits,
    chat,
    faults,
    gemini,
    jpeg,
    metered,
    request,
    wav,
    words,
)
from tests.data.annotation.contract_stub import Fault


@pytest.mark.parametrize("api", ENDPOINTS)
def test_the_same_question_is_paid_once_also_by_a_later_run(stub, tmp_path, api):
    endpoint = ENDPOINTS[api](stub)
    client = metered(endpoint, tmp_path)
    assert [client.ask(request(jpeg()), words) for _ in range(3)] == ["hello"] * 3
    assert metered(endpoint, tmp_path).ask(request(jpeg()), words) == "hello"
    assert len(stub.seen) == 1
    cost = CostAccount(tmp_path, 0).totals()[endpoint.model]
    assert (cost.calls, cost.input_tokens, cost.output_tokens) == (1, 1000, 100)
    assert cost.cost_usd == pytest.approx(1000e-6 + 1000e-6)


def test_everything_that_decides_the_answer_is_part_of_the_question(stub, tmp_path):
    base = request(jpeg(), "Look.")
    later = AnswerForm(FORM.name, "2", FORM.schema)
    others = [
        request(jpeg((0, 0, 0)), "Look."),
        request(jpeg(), "Look!"),
        request("Look.", jpeg()),
        request(jpeg(), "Look.", instructions="Greet!"),
        request(jpeg(), "Look.", form=later),
        request(jpeg(), "Look.", max_output_tokens=7),
    ]
    keys = {one.key("openai", "m") for one in [base, *others]} | {base.key("gemini", "m"), base.key("openai", "n")}
    assert len(keys) == len(others) + 3
    assert base.key("openai", "m") == request(jpeg(), "Look.").key("openai", "m")


def test_media_of_the_same_bytes_and_another_type_are_another_question():
    data = b"same"
    png, gif = (request(Media(MediaKind.IMAGE, f"image/{kind}", data)) for kind in ("png", "gif"))
    assert png.key("openai", "m") != gif.key("openai", "m")


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_storm_of_faults_ends_in_an_answer(stub, tmp_path, api):
    stub.faults = faults(
        Fault.TOO_MANY, Fault.SERVER_ERROR, Fault.CLOSED, Fault.CUT_JSON, Fault.CUT_LENGTH, Fault.OTHER_FORM
    )
    waits = Waits()
    client = metered(ENDPOINTS[api](stub), tmp_path, waits, attempts=7)
    assert client.ask(request(), words) == "hello"
    assert waits.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    # Answers that were of no use were answers all the same: three of them, and the good one.
    assert CostAccount(tmp_path, 0).totals()[client.endpoint.model].calls == 4


@pytest.mark.parametrize("api", ENDPOINTS)
def test_the_server_is_given_the_time_it_asks_for(stub, tmp_path, api):
    stub.retry_after = "30"
    stub.faults = faults(Fault.TOO_MANY)
    waits = Waits()
    metered(ENDPOINTS[api](stub), tmp_path, waits).ask(request(), words)
    assert waits.slept == [31.0]


def test_tries_are_bounded(stub, tmp_path):
    stub.faults = faults(*[Fault.SERVER_ERROR] * 9)
    with pytest.raises(BusyError, match=r"HTTP 500: .*injected 500 \(4 attempts\)"):
        metered(chat(stub), tmp_path).ask(request(), words)
    assert len(stub.seen) == 4


@pytest.mark.parametrize("fault", [Fault.CUT_JSON, Fault.CUT_LENGTH, Fault.OTHER_FORM])
def test_a_bad_answer_is_never_kept(stub, tmp_path, fault):
    stub.faults = faults(fault)
    client = metered(chat(stub), tmp_path, attempts=1)
    with pytest.raises(AnswerError):
        client.ask(request(), words)
    assert client.ask(request(), words) == "hello"
    assert len(stub.seen) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.BAD_REQUEST, RefusedError), (Fault.REFUSAL, RefusedError), (Fault.NO_KEY, RunStoppedError)],
)
def test_what_will_not_change_is_asked_once(stub, tmp_path, fault, error):
    stub.faults = faults(fault)
    with pytest.raises(error):
        metered(chat(stub), tmp_path).ask(request(), words)
    assert len(stub.seen) == 1


def test_a_refusal_is_paid_for_too(stub, tmp_path):
    stub.faults = faults(Fault.REFUSAL)
    with pytest.raises(RefusedError):
        metered(gemini(stub), tmp_path).ask(request(), words)
    assert CostAccount(tmp_path, 0).totals()["stub-rewriter"].input_tokens == 1000


def test_the_budget_stops_before_the_call_that_would_break_it(stub, tmp_path):
    client = metered(chat(stub), tmp_path, budget_usd=0.0245)
    # 2048 output tokens at 10 USD a million are 0.0205 USD: what the first call may cost at most.
    client.ask(request("1"), words)
    for number in range(2, 13):
        client.ask(request(str(number)), words)
    with pytest.raises(BudgetSpentError, match=r"0\.0240 USD are spent"):
        client.ask(request("13"), words)
    assert len(stub.seen) == 12
    assert client.ask(request("1"), words) == "hello"


def test_too_much_media_is_not_sent(stub, tmp_path):
    client = metered(chat(stub), tmp_path, max_media_bytes=100)
    with pytest.raises(RefusedError, match="the media have 3244 bytes, 100 may be sent"):
        client.ask(request(wav()), words)
    assert stub.seen == []


def test_the_rate_limit_learns_what_requests_are_billed(stub, tmp_path):
    waits = Waits()
    limiter = RateLimiter(0, 3000, waits.clock, waits.sleep)
    client = metered(chat(stub), tmp_path, waits, limiter=limiter)
    for number in range(4):
        client.ask(request(str(number)), words)
    # 4 x 1100 tokens of 3000 a minute.
    assert waits.now_s == pytest.approx((4400 - 3000) / 50, abs=0.1)


def test_threads_that_ask_the_same_pay_once(stub, tmp_path):
    client = metered(chat(stub), tmp_path)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(client.ask(request(), words))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["hello"] * 6
    assert len(stub.seen) == 1


def test_a_cached_answer_that_no_longer_counts_is_asked_again(stub, tmp_path):
    client = metered(chat(stub), tmp_path)
    client.ask(request(), lambda value: value)
    stub.answers["greeting"] = {"words": "good evening"}

    def stricter(value):
        if " " not in value["words"]:
            raise AnswerError("too short")
        return value["words"]

    assert client.ask(request(), stricter) == "good evening"
    assert client.ask(request(), words) == "good evening"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"other": 1}'])
def test_a_damaged_cache_file_is_asked_again(stub, tmp_path, damage):
    client = metered(chat(stub), tmp_path)
    client.ask(request(), words)
    path = ResponseCache(tmp_path).path(request().key("openai", "stub-vision"))
    assert path.is_file()
    path.write_bytes(damage)
    assert client.ask(request(), words) == "hello"
    assert len(stub.seen) == 2


def test_no_key_is_written_anywhere(stub, tmp_path):
    metered(chat(stub), tmp_path).ask(request(), words)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hello" in written
    assert b"stub-key" not in written
