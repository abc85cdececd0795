"""The interface of a model behind an endpoint, and the ways a call can fail, told apart by what helps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import ClassVar

from nava.data.annotation.request import Reply, Request
from nava.runtime.errors import InputError, NavaError, RunStoppedError


class EndpointError(NavaError):
    """The endpoint gave no usable answer to one request: the clip fails, others may go on."""


class BusyError(EndpointError):
    """Worth another try: too many requests, a fault of the server, a time-out, a broken connection.

    Args:
        message: what happened.
        retry_after_s: how long the server asks to wait; None where it does not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AnswerError(EndpointError):
    """An answer came that is cut, no JSON, or not of the form asked for; worth another try."""


class RefusedError(EndpointError):
    """The endpoint will not answer this request, however often it is sent: HTTP 4xx, or its safety filter."""


class Endpoint(ABC):
    """A model behind an HTTP API. Sends one request once: retries, limits, cache and cost are `MeteredClient`'s.

    Class attributes:
        provider: the API's name; stands before the model's in the backend columns.
        proven: whether this code has ever run against the real model. None has.
    """

    provider: ClassVar[str]
    proven: ClassVar[bool] = False

    def __init__(self, model: str) -> None:
        self.model = model

    @property
    def backend(self) -> str:
        """How backend columns name it, with `(unproven)` where it has not run for real."""
        return f"{self.provider}:{self.model}{'' if self.proven else ' (unproven)'}"

    @abstractmethod
    def send(self, request: Request) -> Reply:
        """Send a request once.

        Raises:
            BusyError, RefusedError: of this request.
            RunStoppedError: no request can succeed: the key is refused, or the model does not exist.
        """


def error_of_status(status: int, message: str, where: str, retry_after_s: float | None = None) -> NavaError:
    """The error that stands for an HTTP status.

    Args:
        status: 400 or above.
        message: what the server says, shortened to one line.
        where: model and address, for people.
        retry_after_s: of a 429 or 503.
    """
    text = f"{where} answered HTTP {status}: {' '.join(message.split())[:300]}"
    if status in (401, 403):
        return RunStoppedError(f"{text}; check the key in the variable that api_key_variable names")
    if status == 404:
        return RunStoppedError(f"{text}; check base_url and model")
    # 408 and 409 are the server's own words for "send it again"; every other 4xx says that the request is at fault.
    if status in (408, 409, 429) or status >= 500:
        return BusyError(text, retry_after_s)
    return RefusedError(text)


def read_key(variable: str, setting: str) -> str:
    """The key in an environment variable; a placeholder where a server wants none.

    Args:
        variable: name of the environment variable; empty for a server without keys.
        setting: name of the setting, for the message.

    Raises:
        InputError: the variable is not set.
    """
    if not variable:
        return "none"
    if not (key := os.environ.get(variable, "").strip()):
        raise InputError(f"{setting} names the environment variable {variable}, which is not set; export the key in it")
    return key
