"""A CONTRACT STUB, not a model: a local server that holds requests against OpenAI's transcription format.

It answers `POST /v1/audio/transcriptions`; a request that breaks the documented form gets a 400 and is listed in
`violations`. What it answers is what the test says.
"""

import email.parser
import email.policy
import io
import json
import threading
import wave
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "stub-key-5678"


@dataclass
class TranscriptionStub:
    """State shared with the test.

    Attributes:
        answer: JSON value of a good answer. faults: one per request: an HTTP status, `cut`, `html` or `hang`.
        seen: fields of the requests in the right form, with `samples` and `rate_hz` of the file.
    """

    answer: object = None
    faults: deque = field(default_factory=deque)
    seen: list = field(default_factory=list)
    violations: list = field(default_factory=list)
    requests: int = 0
    url: str = ""
    ending: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(**state):
    stub = TranscriptionStub(**state)
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
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
    stub: TranscriptionStub

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stub.requests += 1
        fault = self.stub.faults.popleft() if self.stub.faults else None
        if fault == "hang":
            self.stub.ending.wait()
            return
        if isinstance(fault, int):
            self.send(fault, {"error": {"message": f"stub says {fault}"}})
            return
        try:
            self.stub.seen.append(self.read_form(body))
        except AssertionError as violation:
            self.stub.violations.append(str(violation))
            self.send(400, {"error": {"message": str(violation)}})
            return
        if fault == "html":
            self.send_bytes(200, b"<html>busy</html>", "text/html")
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"text": "ha')
            self.close_connection = True
        else:
            self.send(200, self.stub.answer)

    def read_form(self, body):
        assert self.path == "/v1/audio/transcriptions", self.path
        assert self.headers["Authorization"] == f"Bearer {KEY}", "no or another key"
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        fields, seen = {}, {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            fields.setdefault(name, []).append(part)
        text = {
            name: [part.get_content().strip() for part in parts] for name, parts in fields.items() if name != "file"
        }
        known = {"model", "response_format", "timestamp_granularities[]", "temperature", "language", "prompt"}
        assert set(text) <= known, f"unknown fields {sorted(set(text) - known)}"
        assert text.get("response_format") == ["verbose_json"], "times need verbose_json"
        assert set(text.get("timestamp_granularities[]", [])) <= {"word", "segment"}
        assert len(fields.get("file", [])) == 1, "one file"
        file = fields["file"][0]
        assert file.get_filename().endswith(".wav"), "the file's name says its format"
        with wave.open(io.BytesIO(file.get_payload(decode=True))) as sound:
            seen = {"samples": sound.getnframes(), "rate_hz": sound.getframerate()}
        return {name: values if name.endswith("[]") else values[0] for name, values in text.items()} | seen

    def send(self, status, value):
        self.send_bytes(status, json.dumps(value).encode(), "application/json")

    def send_bytes(self, status, data, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(data)
