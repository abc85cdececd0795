"""What small web servers of this console share: binding, the names they answer to, headers, and files in parts.

No path of a request ever becomes a path of a file here: who inherits looks files up and hands them over.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from nava.console.byte_range import RangeNotSatisfiableError, byte_range
from nava.runtime.errors import InputError

HTML, JSON, TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
_CHUNK_BYTES = 1 << 18


class LocalServer(ThreadingHTTPServer):
    """A server with a thread per connection, meant for this machine; `loopback` says whether others can reach it."""

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[LocalHandler]) -> None:
        """Bind the address; port 0 takes a free one. InputError if it cannot be bound."""
        self.loopback = is_loopback(host)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host"
            ) from error

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.server_address[0] in ("0.0.0.0", "") else str(self.server_address[0])  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"


class LocalHandler(BaseHTTPRequestHandler):
    """Answers with pages, problems and files; says nothing about itself and logs nothing."""

    server: LocalServer
    protocol_version = "HTTP/1.1"
    server_version = "nava"
    sys_version = ""
    timeout = 60

    def handle(self) -> None:
        """The requests of one connection; a browser that has enough may end it at any byte, also between two."""
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a player asks for many ranges."""

    def is_for_this_server(self) -> bool:
        """Whether the request was meant for it: a page elsewhere could let its own name point to this machine."""
        return not self.server.loopback or _is_local_name(self.headers.get("Host", ""))

    def send_body(
        self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
    ) -> None:
        """A whole answer."""
        self.send_head(status, kind, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self, status: HTTPStatus, kind: str, length: int, headers: dict[str, str]) -> None:
        """The head of an answer; `headers` replace those that all answers have."""
        self.send_response(status)
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(length),
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in (fixed | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def send_problem(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        """What went wrong, as text."""
        self.send_body(f"{text or status.phrase}\n".encode(), TEXT, status, headers)

    def send_redirect(self, target: str) -> None:
        """Send the browser to another page of this server."""
        self.send_body(b"", TEXT, HTTPStatus.SEE_OTHER, {"Location": target})

    def send_media(self, path: Path, kind: str, headers: dict[str, str]) -> None:
        """A file, or the range of it that is asked for."""
        try:
            file = path.open("rb")
        except OSError:
            self.send_problem(HTTPStatus.NOT_FOUND, "this file is gone")
            return
        with file:
            size = file.seek(0, 2)
            try:
                # Files carry no validator, so a range that depends on one is answered whole.
                asked = "" if "If-Range" in self.headers else self.headers.get("Range", "")
                part = byte_range(asked, size)
            except RangeNotSatisfiableError:
                refused = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                self.send_problem(refused, "", {"Content-Range": f"bytes */{size}"})
                return
            start, end = part or (0, size)
            ranged = {"Content-Range": f"bytes {start}-{end - 1}/{size}"} if part else {}
            status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
            self.send_head(status, kind, end - start, {"Accept-Ranges": "bytes"} | ranged | headers)
            file.seek(start)
            left = end - start if self.command != "HEAD" else 0
            while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                self.wfile.write(chunk)
                left -= len(chunk)
            self.close_connection = self.close_connection or left > 0


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which no other machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_local_name(host: str) -> bool:
    """Whether a Host header names this machine as itself."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
