"""Requests and tokens per minute that a worker's threads may spend on one endpoint, together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """An amount that refills at a steady rate up to one minute's worth. It may go into debt; then the next one waits.

    Args:
        per_minute: rate and size; 0 for no limit.
        now_s: the clock's reading at the start.
    """

    def __init__(self, per_minute: float, now_s: float) -> None:
        self.per_minute = per_minute
        self.level = per_minute
        self.at_s = now_s

    def refill(self, now_s: float) -> None:
        """Add what has come in since the last reading."""
        self.level = min(self.per_minute, self.level + (now_s - self.at_s) * self.per_minute / 60.0)
        self.at_s = now_s

    def wait_s(self, amount: float) -> float:
        """How long until `amount` is there; more than a whole minute's worth waits for a full bucket only."""
        missing = min(amount, self.per_minute) - self.level
        return max(0.0, missing * 60.0 / self.per_minute) if self.per_minute else 0.0


class RateLimiter:
    """Lets requests through at the rates that an endpoint allows.

    A call takes its estimate of tokens before it is sent and settles the difference when the bill is known.

    Args:
        requests_per_minute: 0 for no limit.
        tokens_per_minute: input and output together; 0 for no limit.
        clock: seconds, rising.
        sleep: waits seconds.
    """

    def __init__(
        self,
        requests_per_minute: float,
        tokens_per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._requests = TokenBucket(requests_per_minute, clock())
        self._tokens = TokenBucket(tokens_per_minute, clock())
        self._lock = threading.Lock()

    def acquire(self, tokens: float) -> None:
        """Wait until one more request of about so many tokens may be sent."""
        while (wait_s := self._take(tokens)) > 0:
            self._sleep(wait_s)

    def settle(self, estimated_tokens: float, billed_tokens: float) -> None:
        """Correct an estimate by what was billed."""
        with self._lock:
            self._tokens.level += estimated_tokens - billed_tokens

    def _take(self, tokens: float) -> float:
        """Take a request, or say how long to wait for it."""
        with self._lock:
            now_s = self._clock()
            self._requests.refill(now_s)
            self._tokens.refill(now_s)
            wait_s = max(self._requests.wait_s(1.0), self._tokens.wait_s(tokens))
            if wait_s == 0:
                self._requests.level -= 1.0
                self._tokens.level -= tokens
            return wait_s
