"""The rate limiter on a clock that only sleeping moves."""

import threading

import pytest

from nava.data.annotation.rate_limit import RateLimiter
from tests.data.annotation.conftest import Waits


def limiter(requests, tokens):
    waits = Waits()
    return RateLimiter(requests, tokens, waits.clock, waits.sleep), waits


def test_no_limit_never_waits():
    free, waits = limiter(0, 0)
    for _ in range(1000):
        free.acquire(1e9)
    assert waits.slept == []


def test_requests_come_at_the_stated_rate_after_the_first_minutes_worth():
    limited, waits = limiter(60, 0)
    for _ in range(60):
        limited.acquire(0)
    assert waits.slept == []
    for _ in range(30):
        limited.acquire(0)
    assert waits.now_s == pytest.approx(30.0)


def test_tokens_are_limited_too():
    limited, waits = limiter(0, 6000)
    for _ in range(9):
        limited.acquire(1000)
    assert waits.now_s == pytest.approx(30.0)


def test_a_bill_above_the_estimate_is_paid_back_in_waiting():
    limited, waits = limiter(0, 6000)
    limited.acquire(1000)
    limited.settle(1000, 8000)
    limited.acquire(1000)
    assert waits.now_s == pytest.approx(30.0)


def test_a_bill_below_the_estimate_gives_tokens_back():
    limited, waits = limiter(0, 6000)
    limited.acquire(6000)
    limited.settle(6000, 1000)
    limited.acquire(5000)
    assert waits.slept == []


def test_a_request_larger_than_a_minutes_worth_goes_through_a_full_bucket():
    limited, waits = limiter(0, 600)
    limited.acquire(300)
    limited.acquire(10_000)
    assert waits.now_s == pytest.approx(30.0)


def test_idle_time_saves_up_no_more_than_a_minute():
    limited, waits = limiter(60, 0)
    waits.now_s = 3600.0
    for _ in range(61):
        limited.acquire(0)
    assert waits.now_s == pytest.approx(3601.0)


def test_threads_share_the_rate():
    waits = Waits()
    limited = RateLimiter(10, 0, waits.clock, waits.sleep)
    threads = [threading.Thread(target=lambda: [limited.acquire(0) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 20 requests, 10 at once: the last of the others cannot come before a minute has passed.
    assert waits.now_s >= 60.0 - 1e-6
