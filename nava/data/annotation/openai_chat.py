"""Models behind an OpenAI-compatible chat completions API: vLLM and others that serve Qwen3-VL, Qwen3-Omni, ...

Request format:

- images: `{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,..."}}`
- videos: `{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,..."}}` (vLLM's addition)
- sound: `{"type": "input_audio", "input_audio": {"data": "<base64>", "format": "wav"}}` (OpenAI), or
  `{"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,..."}}` (vLLM's addition)
- the form of the answer: `response_format: {"type": "json_schema", "json_schema": {"name", "schema", "strict"}}`

Sources: https://docs.vllm.ai/en/latest/features/multimodal_inputs.html ("Online Serving"); vllm-project/vllm,
examples/online_serving/openai_chat_completion_client_for_multimodal.py;
https://platform.openai.com/docs/guides/structured-outputs; https://docs.vllm.ai/en/latest/features/structured_outputs.html
"""

from __future__ import annotations

from typing import Any

from nava.data.annotation.endpoint import BusyError, Endpoint, error_of_status
from nava.data.annotation.request import Media, MediaKind, Reply, Request, Usage
from nava.data.annotation.retry import retry_after_s

# What the library tells the server about this machine.
_TELLING_HEADERS = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version")


class ChatClient(Endpoint):
    """A model behind `POST {base_url}/chat/completions`.

    Args:
        model: its name at the server.
        base_url: of the API, with `/v1` where the server has it.
        api_key: bearer token.
        timeout_s: of one request.
        audio_part: `input_audio` or `audio_url`, whichever the server takes.
    """

    provider = "openai"

    def __init__(self, model: str, base_url: str, api_key: str, timeout_s: float, audio_part: str) -> None:
        import openai

        super().__init__(model)
        self._where = f"{model} at {base_url}"
        self._audio_part = audio_part
        omitted: dict[str, Any] = {f"X-Stainless-{name}": openai.Omit() for name in _TELLING_HEADERS}
        self._client = openai.OpenAI(
            api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=0, default_headers=omitted
        )

    def send(self, request: Request) -> Reply:
        """Send a request once; see `Endpoint.send`."""
        import openai

        try:
            completion = self._client.chat.completions.create(**self.body(request))
        except openai.APIStatusError as error:
            wait_s = retry_after_s(error.response.headers.get("retry-after"))
            raise error_of_status(error.status_code, error.message, self._where, wait_s) from error
        except openai.APITimeoutError as error:
            raise BusyError(f"{self._where} did not answer in time") from error
        except (openai.APIError, ValueError) as error:
            # A broken connection, or an answer that is no JSON or of another kind.
            raise BusyError(f"{self._where}: {' '.join(str(error).split())[:300]}") from error
        return self._reply(completion)

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the API's JSON."""
        form = {"name": request.form.name, "schema": request.form.schema, "strict": True}
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": request.instructions},
                {"role": "user", "content": [self._part(part) for part in request.parts]},
            ],
            "response_format": {"type": "json_schema", "json_schema": form},
            "temperature": 0.0,
            "max_tokens": request.max_output_tokens,
        }

    def _part(self, part: str | Media) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if part.kind is MediaKind.AUDIO and self._audio_part == "input_audio":
            form = part.mime_type.removeprefix("audio/")
            return {"type": "input_audio", "input_audio": {"data": part.base64, "format": form}}
        kind = f"{part.kind}_url"
        return {"type": kind, kind: {"url": part.data_uri}}

    def _reply(self, completion: Any) -> Reply:
        """The first choice; a body without one is the server's fault."""
        try:
            choice, usage = completion.choices[0], completion.usage
            bill = Usage(usage.prompt_tokens, usage.completion_tokens)
            text, reason, refusal = choice.message.content, choice.finish_reason, choice.message.refusal
        except (AttributeError, IndexError, TypeError) as error:
            raise BusyError(f"{self._where} answered without a choice or its usage") from error
        filtered = reason if reason == "content_filter" else ""
        return Reply(text or "", reason != "length", bill, refusal or filtered)
