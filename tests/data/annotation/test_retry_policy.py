"""How often and how patiently a call is tried again."""

import pytest

from nava.data.annotation.endpoint import AnswerError, BusyError, RefusedError
from nava.data.annotation.retry import RetryPolicy, retry_after_s
from nava.runtime.errors import InputError
from tests.data.annotation.conftest import Waits


def failing(*errors):
    """A call that raises these one after the other, then succeeds."""
    left = list(errors)

    def attempt():
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def policy(**changes):
    waits = Waits()
    return RetryPolicy(**{"sleep": waits.sleep, "jitter": lambda: 1.0} | changes), waits


def test_waits_double_up_to_the_longest():
    patient, waits = policy(max_attempts=6, base_s=1.0, max_s=5.0)
    assert patient.call(failing(*[BusyError("x")] * 5)) == "done"
    assert waits.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_scales_the_whole_wait():
    patient, waits = policy(jitter=lambda: 0.25)
    patient.call(failing(AnswerError("cut"), BusyError("x")))
    assert waits.slept == [0.25, 0.5]


def test_a_server_that_says_how_long_is_obeyed():
    patient, waits = policy(max_s=5.0, jitter=lambda: 0.5)
    patient.call(failing(BusyError("429", retry_after_s=40.0)))
    assert waits.slept == [40.5]


def test_attempts_are_bounded_and_counted_in_the_message():
    patient, waits = policy(max_attempts=3)
    with pytest.raises(BusyError, match=r"^down \(3 attempts\)$"):
        patient.call(failing(*[BusyError("down")] * 9))
    assert len(waits.slept) == 2


def test_one_attempt_means_none_again():
    patient, waits = policy(max_attempts=1)
    with pytest.raises(AnswerError, match=r"\(1 attempt\)"):
        patient.call(failing(AnswerError("cut")))
    assert waits.slept == []


def test_a_wait_of_hours_counts_as_down():
    patient, waits = policy(max_retry_after_s=300.0)
    with pytest.raises(BusyError):
        patient.call(failing(BusyError("quota", retry_after_s=7200.0)))
    assert waits.slept == []


@pytest.mark.parametrize("final", [RefusedError("400"), InputError("401"), ValueError("bug")])
def test_nothing_else_is_tried_again(final):
    patient, waits = policy()
    with pytest.raises(type(final)):
        patient.call(failing(final))
    assert waits.slept == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_both_forms_of_retry_after(header, seconds):
    assert retry_after_s(header, now_s=100.0) == seconds
