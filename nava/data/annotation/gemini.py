"""Gemini through google-genai.

Request format: `POST {base_url}/v1/models/{model}:generateContent` with `contents[].parts[]` of `text` or
`inlineData: {mimeType, data}`, `systemInstruction`, and `generationConfig` with `responseMimeType: application/json`,
`responseJsonSchema` and `maxOutputTokens`; the key goes in the header `x-goog-api-key`. Usage is
`usageMetadata.promptTokenCount`, `candidatesTokenCount` and `thoughtsTokenCount` (billed as output). A 429 may name its
wait in `error.details[]` as `google.rpc.RetryInfo.retryDelay` ("7s") instead of a header.

Sources: https://ai.google.dev/api/generate-content; https://ai.google.dev/gemini-api/docs/video-understanding (inline
video below 100 MB); https://ai.google.dev/gemini-api/docs/structured-output;
https://ai.google.dev/gemini-api/docs/api-versions (v1 is the stable one);
https://googleapis.github.io/python-genai/ (HttpOptions: base_url, timeout in ms, retry_options).
"""

from __future__ import annotations

import re
from typing import Any

from nava.data.annotation.endpoint import BusyError, Endpoint, error_of_status
from nava.data.annotation.request import Media, Reply, Request, Usage
from nava.data.annotation.retry import retry_after_s

_API_VERSION = "v1"
_REFUSALS = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY"}


class GeminiClient(Endpoint):
    """A Gemini model.

    Args:
        model: e.g. `gemini-3-flash-preview`.
        base_url: of the API; empty for Google's.
        api_key: of the Gemini API.
        timeout_s: of one request.
    """

    provider = "gemini"

    def __init__(self, model: str, base_url: str, api_key: str, timeout_s: float) -> None:
        import httpx2
        from google import genai
        from google.genai import types

        super().__init__(model)
        self._where = f"{model} at {base_url or 'the Gemini API'}"
        options = types.HttpOptions(
            base_url=base_url or None,
            api_version=_API_VERSION,
            timeout=round(1000 * timeout_s),
            retry_options=types.HttpRetryOptions(attempts=1),
            # Its errors are caught below: a variable must not put another HTTP library in its place.
            httpx_client=httpx2.Client(timeout=timeout_s, follow_redirects=False),
        )
        # Said in words, so that variables meant for other programs do not turn it into a Vertex AI client.
        self._client = genai.Client(vertexai=False, api_key=api_key, http_options=options)

    def send(self, request: Request) -> Reply:
        """Send a request once; see `Endpoint.send`."""
        import httpx2
        from google.genai import errors, types

        config = types.GenerateContentConfig(
            system_instruction=request.instructions,
            temperature=0.0,
            max_output_tokens=request.max_output_tokens,
            response_mime_type="application/json",
            response_json_schema=request.form.schema,
        )
        contents = types.Content(role="user", parts=[self._part(part) for part in request.parts])
        try:
            response = self._client.models.generate_content(model=self.model, contents=contents, config=config)
        except errors.APIError as error:
            wait_s = _asked_wait_s(error)
            raise error_of_status(error.code, error.message or str(error.status), self._where, wait_s) from error
        except httpx2.TimeoutException as error:
            raise BusyError(f"{self._where} did not answer in time") from error
        except (httpx2.HTTPError, ValueError) as error:
            # A broken connection, or an answer that is no JSON or of another kind (pydantic's error is a ValueError).
            raise BusyError(f"{self._where}: {' '.join(str(error).split())[:300]}") from error
        return self._reply(response)

    @staticmethod
    def _part(part: str | Media) -> Any:
        from google.genai import types

        if isinstance(part, str):
            return types.Part.from_text(text=part)
        return types.Part.from_bytes(data=part.data, mime_type=part.mime_type)

    def _reply(self, response: Any) -> Reply:
        """The first candidate; a body without one is the server's fault."""
        feedback, usage = response.prompt_feedback, response.usage_metadata
        if usage is None:
            raise BusyError(f"{self._where} answered without its usage")
        bill = Usage(
            usage.prompt_token_count or 0, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        )
        if feedback is not None and feedback.block_reason:
            return Reply("", True, bill, feedback.block_reason.value)
        if not response.candidates:
            raise BusyError(f"{self._where} answered without a candidate")
        candidate = response.candidates[0]
        reason = candidate.finish_reason.value if candidate.finish_reason else ""
        parts = candidate.content.parts if candidate.content and candidate.content.parts else []
        text = "".join(part.text for part in parts if part.text and not part.thought)
        return Reply(text, reason != "MAX_TOKENS", bill, reason if reason in _REFUSALS else "")


def _asked_wait_s(error: Any) -> float | None:
    """The wait that a 429 asks for, from its header or its details."""
    header = error.response.headers.get("retry-after") if error.response is not None else None
    if header is not None:
        return retry_after_s(header)
    body = error.details if isinstance(error.details, dict) else {}
    for detail in body.get("error", {}).get("details", []):
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", ""))):
            return float(match[1])
    return None
