"""What goes wrong between this machine and a store of files: what may pass by itself, and what the user has to mend."""

import errno
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nava.runtime.errors import InputError, NavaError, UnavailableError

T = TypeVar("T")
ATTEMPTS = 5
# The wait before the second attempt; it doubles with each further one.
FIRST_WAIT_S = 1.0
_TOO_MANY, _TOO_EARLY, _TIMED_OUT, _SERVERS_FAULT = 429, 425, 408, 500
# As s3fs and the kernel number them: a store that is busy or failed, a network that is.
_PASSING_NUMBERS = {
    getattr(errno, name)
    for name in ("EBUSY", "EREMOTEIO", "EAGAIN", "ENETUNREACH", "ENETDOWN", "EHOSTUNREACH", "ETIMEDOUT")
    if hasattr(errno, name)
}
# Classes of the stores' libraries, which are not imported for their names: aiohttp's, botocore's, urllib3's, requests'.
_PASSING_NAMES = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProtocolError",
    "ResponseStreamingError",
    "Timeout",
    "gaierror",
}


@contextmanager
def store_errors(address: str, doing: str = "read") -> Iterator[None]:
    """Whatever a store raises becomes an error of one line.

    Args:
        address: of what was asked for.
        doing: what could not be done with it, "read" or "fetched".

    Raises:
        UnavailableError: the store or the network did not answer; trying again may help.
        InputError: everything else: it is not there, it is denied, the address is wrong.
    """
    try:
        yield
    except NavaError:
        raise
    except Exception as error:  # each store has exceptions of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        kind = UnavailableError if may_pass(error) else InputError
        raise kind(f"{address} cannot be {doing}: {reason}") from error


def may_pass(error: BaseException) -> bool:
    """Whether an error of a store may pass by itself: no connection, no answer in time, too busy, a fault of its own.

    The first that tells something counts, of the error itself and those behind it.
    """
    for one in _chain(error):
        status = _status(one)
        # aiohttp gives an answer that broke off the status 400, inside an error that says what it is.
        if _passing_kind(one) or status in (_TOO_MANY, _TOO_EARLY, _TIMED_OUT):
            return True
        if status is not None:
            return status >= _SERVERS_FAULT
    return False


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those behind it, the newest first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return chain


def _passing_kind(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING_NUMBERS:
        return True
    return any(kind.__name__ in _PASSING_NAMES for kind in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells of, as aiohttp, gcsfs, azure and botocore keep it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        found = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
        return found if isinstance(found, int) else None
    for holder in (error, response):
        for name in ("status", "status_code", "code"):
            found = getattr(holder, name, None)
            if isinstance(found, int) and 400 <= found < 600:
                return found
    return None


def patiently(attempt: Callable[[], T]) -> T:
    """The result of a call, tried again after a while where the store or the network did not answer.

    Raises:
        UnavailableError: of the last attempt, with how many there were.
    """
    number = 1
    while True:
        try:
            return attempt()
        except UnavailableError as error:
            if number == ATTEMPTS:
                raise UnavailableError(f"{error} ({ATTEMPTS} attempts)") from error
        # Processes that failed together do not come back together.
        time.sleep(FIRST_WAIT_S * 2 ** (number - 1) * (0.5 + random.random() / 2))  # noqa: S311 - no secret
        number += 1
