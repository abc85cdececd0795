"""A CONTRACT STUB, not a model: a local HTTP server that holds requests against two APIs' documented formats.

It answers `POST /v1/chat/completions` (OpenAI-compatible, with vLLM's video and audio parts) and
`POST /v1/models/{model}:generateContent` (Gemini). A request that breaks the format gets a 400 and is listed in
`violations`. Its answers are what the test says; it injects faults in the order in which the test lists them.
"""

import base64
import io
import json
import re
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
from PIL import Image

KEY = "stub-key-1234"


class Fault(StrEnum):
    """What goes wrong with one request."""

    TOO_MANY = "429 with Retry-After"
    TOO_MANY_DETAILS = "429 with RetryInfo in the body"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    CLOSED = "connection closed without an answer"
    HANGS = "no answer until the stub ends"
    CUT_BODY = "connection closed within the body"
    NO_JSON_BODY = "200 with HTML"
    CUT_JSON = "an answer whose JSON ends early, called finished"
    CUT_LENGTH = "an answer whose JSON ends early, called cut"
    OTHER_FORM = "JSON of another form"
    REFUSAL = "the model refuses"
    BAD_REQUEST = "400"
    NO_KEY = "401"
    NO_MODEL = "404"


class ViolationError(Exception):
    """A request that breaks the documented format."""


@dataclass
class Seen:
    """A request that kept to the format."""

    api: str
    model: str
    form: str
    instructions: str
    text: str
    media: list[tuple[str, Any]]
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class ContractStub:
    """State of the server, shared with the test.

    Attributes:
        models: names it serves. answers: form name or model to JSON value, or a function of what was seen.
        faults: used up one per request. seen: requests in the right format. violations: complaints about others.
    """

    models: tuple[str, ...] = ("stub-vision", "stub-sound", "stub-rewriter", "stub-grounding")
    answers: dict[str, Any] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    usage: tuple[int, int] = (1000, 100)
    retry_after: str = "0"
    url: str = ""
    ending: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    in_flight: int = 0
    most_in_flight: int = 0
    gate: threading.Barrier | None = None

    def next_fault(self):
        with self.lock:
            return self.faults.popleft() if self.faults else None

    def answer(self, seen):
        value = self.answers.get(seen.form, self.answers.get(seen.model))
        return value(seen) if callable(value) else value


@contextmanager
def serving(**state):
    """A stub on a free port of the loopback interface."""
    stub = ContractStub(**state)

    class Handler(_Handler):
        pass

    Handler.stub = stub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    stub: ContractStub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        stub = self.stub
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = stub.next_fault()
        with stub.lock:
            stub.in_flight += 1
            stub.most_in_flight = max(stub.most_in_flight, stub.in_flight)
        try:
            if stub.gate is not None:
                stub.gate.wait(timeout=20)
            self._answer(body, fault)
        finally:
            with stub.lock:
                stub.in_flight -= 1

    def _answer(self, body, fault):
        try:
            seen = read_request(self.path, dict(self.headers.items()), body, self.stub.models)
        except (ViolationError, KeyError, TypeError, ValueError) as violation:
            self.stub.violations.append(str(violation))
            self._send(400, {"error": {"code": 400, "message": str(violation), "status": "INVALID_ARGUMENT"}})
            return
        with self.stub.lock:
            self.stub.seen.append(seen)
        if fault in _STATUS:
            self._send_status(fault)
        elif fault in (Fault.CLOSED, Fault.HANGS, Fault.CUT_BODY):
            self._break(fault)
        elif fault is Fault.NO_JSON_BODY:
            self._send(200, None, raw=b"<html>gateway</html>", kind="text/html")
        else:
            text = json.dumps(self.stub.answer(seen))
            if fault in (Fault.CUT_JSON, Fault.CUT_LENGTH):
                text = text[: len(text) // 2]
            if fault is Fault.OTHER_FORM:
                text = '{"surprise": true}'
            wrap = _chat_completion if seen.api == "openai" else _generate_content
            self._send(200, wrap(seen.model, text, self.stub.usage, fault))

    def _send_status(self, fault):
        code = _STATUS[fault]
        error = {"code": code, "message": f"injected {code}", "status": "INJECTED"}
        if fault is Fault.TOO_MANY_DETAILS:
            info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{self.stub.retry_after}s"}
            error["details"] = [info]
        headers = {"Retry-After": self.stub.retry_after} if fault is Fault.TOO_MANY else {}
        self._send(code, {"error": error}, headers)

    def _break(self, fault):
        if fault is Fault.HANGS:
            self.stub.ending.wait()
        if fault is Fault.CUT_BODY:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "4096")
            self.end_headers()
            self.wfile.write(b'{"choices": [{"mess')
        self.close_connection = True

    def _send(self, code, value, headers=None, raw=None, kind="application/json"):
        data = json.dumps(value).encode() if raw is None else raw
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)


_STATUS = {
    Fault.TOO_MANY: 429,
    Fault.TOO_MANY_DETAILS: 429,
    Fault.SERVER_ERROR: 500,
    Fault.UNAVAILABLE: 503,
    Fault.BAD_REQUEST: 400,
    Fault.NO_KEY: 401,
    Fault.NO_MODEL: 404,
}


def _chat_completion(model, text, usage, fault):
    refused = fault is Fault.REFUSAL
    message = {"role": "assistant", "content": None if refused else text, "refusal": "I cannot" if refused else None}
    reason = "length" if fault is Fault.CUT_LENGTH else "stop"
    return {
        "id": "stub-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }


def _generate_content(model, text, usage, fault):
    bill = {"promptTokenCount": usage[0], "candidatesTokenCount": usage[1] - 40, "thoughtsTokenCount": 40}
    if fault is Fault.REFUSAL:
        blocked = {"blockReason": "PROHIBITED_CONTENT"}
        return {"promptFeedback": blocked, "usageMetadata": {"promptTokenCount": usage[0]}}
    reason = "MAX_TOKENS" if fault is Fault.CUT_LENGTH else "STOP"
    content = {"role": "model", "parts": [{"text": "thinking ...", "thought": True}, {"text": text}]}
    return {
        "candidates": [{"content": content, "finishReason": reason, "index": 0}],
        "usageMetadata": bill,
        "modelVersion": model,
    }


def read_request(path, headers, body, models):
    """The request, or a ViolationError that says what is wrong with it."""
    try:
        value = json.loads(body)
    except ValueError:
        raise ViolationError("the body is no JSON") from None
    lower = {name.lower(): text for name, text in headers.items()}
    if path == "/v1/chat/completions":
        return _read_chat(value, lower, models)
    if match := re.fullmatch(r"/v1/models/([\w.\-]+):generateContent", path):
        return _read_gemini(value, lower, match[1], models)
    raise ViolationError(f"no such path: {path}")


def _require(condition, problem):
    if not condition:
        raise ViolationError(problem)


def _read_chat(value, headers, models):
    _require(headers.get("authorization") == f"Bearer {KEY}", "no bearer token")
    _require(value.get("model") in models, f"unknown model {value.get('model')}")
    known = {"model", "messages", "response_format", "temperature", "max_tokens"}
    _require(set(value) <= known, f"unknown fields {set(value) - known}")
    system, user = value["messages"]
    _require(system["role"] == "system" and isinstance(system["content"], str) and system["content"], "no system text")
    _require(user["role"] == "user" and user["content"], "no user message")
    _require(isinstance(value["max_tokens"], int) and value["max_tokens"] > 0, "max_tokens")
    form = value["response_format"]
    _require(form["type"] == "json_schema" and form["json_schema"]["strict"] is True, "response_format")
    name = form["json_schema"]["name"]
    _require(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name), f"name of the schema: {name}")
    check_schema(form["json_schema"]["schema"])
    texts, media = [], []
    for part in user["content"]:
        kind = part["type"]
        _require(set(part) == {"type", kind}, f"fields of a part: {sorted(part)}")
        if kind == "text":
            texts.append(part["text"])
        elif kind == "input_audio":
            _require(part[kind]["format"] in ("wav", "mp3"), "format of input_audio")
            media.append(("audio", decode_media("audio", _base64(part[kind]["data"]))))
        else:
            _require(kind in ("image_url", "video_url", "audio_url"), f"part of type {kind}")
            media.append(_data_uri(kind.removesuffix("_url"), part[kind]["url"]))
    return Seen("openai", value["model"], name, system["content"], "\n".join(texts), media, headers, value)


def _read_gemini(value, headers, model, models):
    _require(headers.get("x-goog-api-key") == KEY, "no key")
    _require(model in models, f"unknown model {model}")
    config = value["generationConfig"]
    _require(config["responseMimeType"] == "application/json", "responseMimeType")
    _require(config["maxOutputTokens"] > 0, "maxOutputTokens")
    check_schema(config["responseJsonSchema"])
    (content,) = value["contents"]
    _require(content["role"] == "user", "role")
    texts, media = [], []
    for part in content["parts"]:
        if "text" in part:
            texts.append(part["text"])
            continue
        (blob,) = part.values()
        # proto3's JSON takes the names of fields in both styles, and both alphabets of base64; the SDK mixes them.
        form = blob.get("mimeType") or blob.get("mime_type", "")
        _require(set(part) == {"inlineData"} and len(blob) == 2 and "/" in form, f"part {sorted(part)}: {sorted(blob)}")
        kind = form.split("/")[0]
        media.append((kind, decode_media(kind, base64.urlsafe_b64decode(blob["data"]))))
    instructions = "".join(part["text"] for part in value["systemInstruction"]["parts"])
    form = "_".join(sorted(config["responseJsonSchema"]["properties"]))
    return Seen("gemini", model, form, instructions, "\n".join(texts), media, headers, value)


def check_schema(schema):
    """The rules of strict structured outputs: every object closed, every property required, every array typed."""
    if schema.get("type") == "object":
        properties = schema["properties"]
        _require(schema.get("additionalProperties") is False, "additionalProperties must be false")
        _require(sorted(schema["required"]) == sorted(properties), "every property must be required")
        for value in properties.values():
            check_schema(value)
    elif schema.get("type") == "array":
        check_schema(schema["items"])
    else:
        _require(schema.get("type") in ("string", "number", "integer", "boolean"), f"type {schema.get('type')}")


def _data_uri(kind, uri):
    match = re.fullmatch(r"data:(\w+)/[\w.+-]+;base64,(.*)", uri, re.DOTALL)
    _require(match is not None and match[1] == kind, f"no data URI of {kind}: {uri[:40]}")
    return kind, decode_media(kind, _base64(match[2]))


def _base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ViolationError("no base64") from None


def decode_media(kind, data):
    """What the media hold: size of an image, frames of a video, samples of a sound. Undecodable ones are violations."""
    try:
        if kind == "image":
            image = Image.open(io.BytesIO(data))
            image.load()
            return image.size
        with av.open(io.BytesIO(data)) as container:
            if kind == "video":
                return sum(1 for _ in container.decode(video=0))
            return sum(frame.samples for frame in container.decode(audio=0))
    except (OSError, av.FFmpegError, IndexError) as error:
        raise ViolationError(f"{kind} cannot be decoded: {error}") from None
