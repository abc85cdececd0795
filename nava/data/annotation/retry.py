"""Trying a call again, a bounded number of times, ever more patiently."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nava.data.annotation.endpoint import AnswerError, BusyError

_Value = TypeVar("_Value")


@dataclass
class RetryPolicy:
    """Exponential backoff with full jitter; a server that says how long to wait is obeyed.

    Args:
        max_attempts: of one call, the first included.
        base_s: upper bound of the wait before the second attempt; it doubles with each further one.
        max_s: no wait is longer, save one that the server asks for.
        max_retry_after_s: a server that asks for a longer wait than this is treated as down.
        sleep: waits seconds.
        jitter: a number from 0 to 1, uniformly random.
    """

    max_attempts: int = 5
    base_s: float = 1.0
    max_s: float = 60.0
    max_retry_after_s: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def call(self, attempt: Callable[[], _Value]) -> _Value:
        """Call until it succeeds.

        Raises:
            BusyError, AnswerError: the last one, when no attempt is left or the server asks for too long a wait.
        """
        number = 1
        while True:
            try:
                return attempt()
            except (BusyError, AnswerError) as error:
                wait_s = self.wait_s(number, error)
                if number >= self.max_attempts or wait_s > self.max_retry_after_s + self.base_s:
                    error.args = (f"{error} ({number} attempt{'s' * (number > 1)})",)
                    raise
            self.sleep(wait_s)
            number += 1

    def wait_s(self, number: int, error: BusyError | AnswerError) -> float:
        """How long to wait after the attempt of that number, counted from 1, failed."""
        own_s = self.jitter() * min(self.max_s, self.base_s * 2.0 ** (number - 1))
        asked_s = error.retry_after_s if isinstance(error, BusyError) else None
        # The jitter on top keeps threads that were sent away together from coming back together.
        return own_s if asked_s is None else asked_s + min(own_s, self.base_s)


def retry_after_s(header: str | None, now_s: float | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3: seconds or an HTTP date); None if unreadable."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - (time.time() if now_s is None else now_s))
