"""An endpoint with everything around it: cache, budget, rate limit, retries, and the answer in the form asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from nava.data.annotation.cost import CostAccount, Price
from nava.data.annotation.endpoint import AnswerError, Endpoint, RefusedError
from nava.data.annotation.rate_limit import RateLimiter
from nava.data.annotation.request import Reply, Request, Usage
from nava.data.annotation.response_cache import ResponseCache
from nava.data.annotation.retry import RetryPolicy

_Value = TypeVar("_Value")
_CHARACTERS_PER_TOKEN = 4.0  # of English text, roughly; only the first call of a form is estimated by it


class MeteredClient:
    """Asks a model, and pays for each question once.

    Args:
        endpoint: sends a request once.
        cache: of answers.
        account: of costs.
        price: of this model.
        limiter: shared by all clients of a worker that use this endpoint.
        retry: what is tried again, and when.
        max_media_bytes: a request with more is refused before it is sent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        cache: ResponseCache,
        account: CostAccount,
        price: Price,
        limiter: RateLimiter,
        retry: RetryPolicy,
        max_media_bytes: int,
    ) -> None:
        self.endpoint = endpoint
        self._cache, self._account, self._price = cache, account, price
        self._limiter, self._retry, self._max_media_bytes = limiter, retry, max_media_bytes
        self._largest: dict[str, Usage] = {}
        self._in_flight: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def ask(self, request: Request, parse: Callable[[Any], _Value]) -> _Value:
        """The answer to a request, from the cache or from the endpoint.

        Args:
            request: the question.
            parse: turns the JSON value into what is wanted; raises AnswerError where it is not of the form.

        Raises:
            EndpointError: no usable answer to this request.
            BudgetSpentError: the budget does not allow the call.
            RunStoppedError: no request can succeed.
        """
        if request.media_bytes > self._max_media_bytes:
            raise RefusedError(f"the media have {request.media_bytes} bytes, {self._max_media_bytes} may be sent")
        key = request.key(self.endpoint.provider, self.endpoint.model)
        with self._alone(key):
            cached = self._cache.read(key)
            if cached is not None:
                try:
                    return parse(cached)
                except AnswerError:
                    pass  # what counts as an answer has become stricter since: ask again
            return self._retry.call(lambda: self._pay(key, request, parse))

    def _pay(self, key: str, request: Request, parse: Callable[[Any], _Value]) -> _Value:
        """One attempt; whatever answer comes is paid for, the good one is kept."""
        estimate = self._estimate(request)
        with self._account.reserve(self._price.of(estimate)):
            tokens = estimate.input_tokens + estimate.output_tokens
            self._limiter.acquire(tokens)
            reply = self.endpoint.send(request)
            self._limiter.settle(tokens, reply.usage.input_tokens + reply.usage.output_tokens)
            self._account.record(self.endpoint.model, reply.usage, self._price, request.form.name)
        self._observe(request, reply.usage)
        answer = read_answer(reply, request.max_output_tokens)
        value = parse(answer)
        self._cache.write(key, answer, request, self.endpoint, reply.usage)
        return value

    def _estimate(self, request: Request) -> Usage:
        """The largest bill of this form so far; media are unknown before the first, and output may be used up."""
        with self._lock:
            seen = self._largest.get(request.form.name)
        return seen or Usage(round(request.text_characters / _CHARACTERS_PER_TOKEN), request.max_output_tokens)

    def _observe(self, request: Request, usage: Usage) -> None:
        with self._lock:
            seen = self._largest.get(request.form.name, Usage(0, 0))
            self._largest[request.form.name] = Usage(
                max(seen.input_tokens, usage.input_tokens), max(seen.output_tokens, usage.output_tokens)
            )

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Threads that ask the same wait for the first one's answer."""
        with self._lock:
            lock = self._in_flight.setdefault(key, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._in_flight.pop(key, None)


def read_answer(reply: Reply, max_output_tokens: int) -> Any:
    """The JSON value of a reply.

    Raises:
        RefusedError: the model will not answer.
        AnswerError: the reply is cut or no JSON.
    """
    if reply.refusal:
        raise RefusedError(f"the model refused: {reply.refusal}")
    if not reply.finished:
        raise AnswerError(f"the answer was cut after {reply.usage.output_tokens} of {max_output_tokens} output tokens")
    try:
        return json.loads(reply.text)
    except ValueError as error:
        raise AnswerError(f"the answer is no JSON ({error}): {reply.text[:80]!r}") from error
