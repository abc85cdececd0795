"""Speech recognition behind an OpenAI-compatible API: `POST {base_url}/audio/transcriptions`.

The request is a form with the WAV file, `response_format=verbose_json` and `timestamp_granularities[]` of words and
segments (https://platform.openai.com/docs/api-reference/audio/createTranscription). A server that gives segments only
is taken as it is: their words are spread over their time.
"""

from __future__ import annotations

import math
from typing import Any

from nava.config.speech import RecognitionConfig
from nava.data.annotation.endpoint import AnswerError, BusyError, error_of_status, read_key
from nava.data.annotation.rate_limit import RateLimiter
from nava.data.annotation.retry import RetryPolicy, retry_after_s
from nava.data.speech.recognition import Recogniser, Recording
from nava.data.speech.transcript import Word, plain_words, spread_words
from nava.runtime.errors import InputError

_TELLING_HEADERS = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version")


class TranscriptionEndpoint(Recogniser):
    """A speech recogniser behind an HTTP API, retried and rate limited.

    Args:
        config: model, address, key, limits.
        retry: what is tried again; by default as often as the settings say.

    Raises:
        InputError: the variable that should hold the key is not set, or the package `openai` is not installed.
    """

    def __init__(self, config: RecognitionConfig, retry: RetryPolicy | None = None) -> None:
        try:
            import openai
        except ImportError as error:
            raise InputError(
                "speech.recognition.backend is endpoint, which needs the package openai: pip install 'nava[speech]'"
            ) from error
        key = read_key(config.api_key_variable, "speech.recognition.api_key_variable")
        omitted: dict[str, Any] = {f"X-Stainless-{name}": openai.Omit() for name in _TELLING_HEADERS}
        self._client = openai.OpenAI(
            api_key=key,
            base_url=config.base_url,
            timeout=config.timeout_s,
            max_retries=0,
            default_headers=omitted,
        )
        self._config = config
        self._retry = retry or RetryPolicy(config.max_attempts)
        self._limiter = RateLimiter(config.requests_per_minute, 0.0)
        self._where = f"{config.model} at {config.base_url}"

    @property
    def backend(self) -> str:
        """See `Recogniser.backend`."""
        return f"endpoint:{self._config.model}{'' if self.proven else ' (unproven)'}"

    def words(self, recording: Recording) -> list[Word]:
        """See `Recogniser.words`."""
        data = recording.path.read_bytes()
        return self._retry.call(lambda: self._send(data))

    def _send(self, data: bytes) -> list[Word]:
        import openai

        self._limiter.acquire(0.0)
        form: dict[str, Any] = {"language": self._config.language} if self._config.language else {}
        try:
            answer = self._client.audio.transcriptions.create(
                file=("clip.wav", data, "audio/wav"),
                model=self._config.model,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                temperature=0.0,
                **form,
            )
        except openai.APIStatusError as error:
            wait_s = retry_after_s(error.response.headers.get("retry-after"))
            raise error_of_status(error.status_code, error.message, self._where, wait_s) from error
        except openai.APITimeoutError as error:
            raise BusyError(f"{self._where} did not answer in time") from error
        except (openai.APIError, ValueError) as error:
            raise BusyError(f"{self._where}: {' '.join(str(error).split())[:300]}") from error
        return words_of(answer.model_dump() if hasattr(answer, "model_dump") else answer, self._where)


def words_of(answer: Any, where: str) -> list[Word]:
    """The words of an answer; of one without words, those of its segments.

    Args:
        answer: the JSON value.
        where: model and address, for messages.

    Raises:
        AnswerError: it is of another form, or says something without saying when.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise AnswerError(f"{where} answered without a text")
    words, segments = answer.get("words"), answer.get("segments")
    if words:
        timed = [_timed(word, "word", where) for word in words]
        return [Word(" ".join(plain), t0_s, t1_s) for text, t0_s, t1_s in timed if (plain := plain_words(text))]
    if segments:
        timed = [_timed(segment, "text", where) for segment in segments]
        return [word for text, t0_s, t1_s in timed for word in spread_words(plain_words(text), t0_s, t1_s)]
    if plain_words(answer["text"]):
        raise AnswerError(f"{where} answered with a text and no times; it must know verbose_json")
    return []


def _timed(item: Any, key: str, where: str) -> tuple[str, float, float]:
    try:
        text, t0_s, t1_s = str(item[key]), float(item["start"]), float(item["end"])
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"{where} answered with a {key} that has no text, start and end") from error
    if not (math.isfinite(t0_s) and math.isfinite(t1_s) and 0 <= t0_s <= t1_s):
        raise AnswerError(f"{where} answered with a {key} from {t0_s} to {t1_s} s")
    return text, t0_s, t1_s
