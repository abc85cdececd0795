"""A read-only HTTP server of the report on a curated folder, for a browser on the same machine.

::

    GET /                          the report
    GET /clips?status=&reason=&words=&page=
    GET /clips/<id>                the page of a record; /clips/<id>.json for programs
    GET /clips/<id>/<kind>         its video, sound, model_sound or thumbnail; byte ranges are answered
    GET /gate                      the verdict of the data gate

No path of a request ever becomes a path of a file: files are found by record and kind, in the manifest.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from nava.artifacts.clip_manifest import MANIFEST_NAME
from nava.artifacts.gate_verdict import PAGE_FILE
from nava.console.byte_range import RangeNotSatisfiableError, byte_range
from nava.console.clip_facts import clip_page, clip_value
from nava.console.clip_media_links import MEDIA_TYPES, ServedLinks
from nava.console.corpus_facts import ReportSize, corpus_report, record_page
from nava.console.curated_folder import GATE_DIR, CuratedFolder
from nava.pages.clip_page import render_clip_page
from nava.pages.corpus_report_page import CLIPS_PATH, STATUSES, RecordQuery, render_corpus_report, render_record_list
from nava.runtime.errors import InputError, NavaError

_SIZE = ReportSize(gallery=12, records=25)
_PAGE_SIZE = 48
_CHUNK_BYTES = 1 << 18
_MEDIA_KINDS = ("video", "sound", "model_sound", "thumbnail")
_HTML, _JSON = "text/html; charset=utf-8", "application/json"


class ReportServer(ThreadingHTTPServer):
    """The server of one folder. The manifest is read once, and again when it is replaced."""

    daemon_threads = True

    def __init__(self, folder: Path, host: str, port: int) -> None:
        """Bind the address; port 0 takes a free one.

        Raises:
            InputError: the folder is no curated corpus, or the address cannot be bound.
        """
        self._lock = threading.Lock()
        self._path = folder
        self._stamp = self._manifest_stamp()
        self._folder = CuratedFolder(folder)
        self.loopback = _is_loopback(host)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), ReportHandler)
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host"
            ) from error

    def _manifest_stamp(self) -> tuple[int, int] | None:
        try:
            found = (self._path / MANIFEST_NAME).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def corpus(self) -> CuratedFolder:
        """The tables as they are on disk; while a manifest cannot be read, those that were read before."""
        with self._lock:
            stamp = self._manifest_stamp()
            if stamp is not None and stamp != self._stamp:
                self._folder, self._stamp = CuratedFolder(self._path), stamp
            return self._folder

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.server_address[0] in ("0.0.0.0", "") else str(self.server_address[0])  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"


class ReportHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: ReportServer
    protocol_version = "HTTP/1.1"
    server_version = "nava"
    sys_version = ""
    timeout = 60
    _links: ClassVar[ServedLinks] = ServedLinks()

    def handle(self) -> None:
        """The requests of one connection; a player that has enough may end it at any byte, also between two."""
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def do_GET(self) -> None:
        """A page, or a file."""
        try:
            if self.server.loopback and not _is_local_name(self.headers.get("Host", "")):
                # A page elsewhere could let its own name point here and read the answers.
                self._problem(HTTPStatus.FORBIDDEN, "this report answers to localhost only")
                return
            self._answer()
        except NavaError as error:
            self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self) -> None:
        self.close_connection = True
        self._problem(HTTPStatus.METHOD_NOT_ALLOWED, "the report is read-only", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a player asks for many ranges."""

    def _answer(self) -> None:
        address = urlsplit(self.path)
        path = address.path
        corpus = self.server.corpus()
        if path == "/":
            href = "/gate" if corpus.verdict() else ""
            page = render_corpus_report(corpus_report(corpus, self._links, _SIZE, href), on_server=True)
            self._send(page.encode(), _HTML)
        elif path == "/gate":
            self._send_gate(corpus)
        elif path == CLIPS_PATH:
            self._send_list(corpus, address.query)
        elif path.startswith(f"{CLIPS_PATH}/"):
            self._send_record(corpus, path.removeprefix(f"{CLIPS_PATH}/"))
        else:
            self._problem(HTTPStatus.NOT_FOUND, "there is no such page; the report is at /")

    def _send_gate(self, corpus: CuratedFolder) -> None:
        try:
            self._send((corpus.path / GATE_DIR / PAGE_FILE).read_bytes(), _HTML)
        except OSError:
            self._problem(HTTPStatus.NOT_FOUND, f"nobody validated {corpus.path}: nava data validate {corpus.path}")

    def _send_list(self, corpus: CuratedFolder, text: str) -> None:
        query = _record_query(text)
        cards, found, pages = record_page(corpus, query, self._links, _PAGE_SIZE)
        reasons = corpus_reasons(corpus)
        self._send(render_record_list(corpus.path.name, query, cards, found, pages, reasons).encode(), _HTML)

    def _send_record(self, corpus: CuratedFolder, rest: str) -> None:
        # Decoded after it is taken apart: an id may have any character.
        name, kind = map(unquote, rest.partition("/")[::2])
        as_json = name.endswith(".json") and not kind
        clip_id = name.removesuffix(".json") if as_json else name
        if clip_id not in corpus or (kind and kind not in _MEDIA_KINDS):
            self._problem(HTTPStatus.NOT_FOUND, f"no record of {corpus.path.name} is called '{name}'")
        elif as_json:
            self._send(json.dumps(clip_value(corpus, clip_id), indent=2, ensure_ascii=False).encode(), _JSON)
        elif kind:
            self._send_file(corpus.file(corpus.row(clip_id), kind))
        else:
            self._send(render_clip_page(clip_page(corpus, clip_id, self._links, "/"), on_server=True).encode(), _HTML)

    def _send_file(self, path: Path | None) -> None:
        """A file, or the range of it that is asked for."""
        try:
            file = path.open("rb") if path is not None else None
        except OSError:
            file = None
        if file is None or path is None:
            self._problem(HTTPStatus.NOT_FOUND, "the record has no such file in this folder")
            return
        with file:
            size = file.seek(0, 2)
            try:
                # Files carry no validator, so a range that depends on one is answered whole.
                asked = "" if "If-Range" in self.headers else self.headers.get("Range", "")
                part = byte_range(asked, size)
            except RangeNotSatisfiableError:
                self._problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "", {"Content-Range": f"bytes */{size}"})
                return
            start, end = part or (0, size)
            headers = {"Accept-Ranges": "bytes"}
            headers |= {"Content-Range": f"bytes {start}-{end - 1}/{size}"} if part else {}
            self._head(
                HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK, MEDIA_TYPES[path.suffix], end - start, headers
            )
            file.seek(start)
            left = end - start if self.command != "HEAD" else 0
            while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                self.wfile.write(chunk)
                left -= len(chunk)
            self.close_connection = self.close_connection or left > 0

    def _send(
        self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, kind, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(length),
            "Cache-Control": "no-store",
            "Content-Security-Policy": "frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in (fixed | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def _problem(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        body = f"{status.value} {status.phrase}: {text}\n" if text else f"{status.value} {status.phrase}\n"
        self._send(body.encode(), "text/plain; charset=utf-8", status, headers)


def corpus_reasons(corpus: CuratedFolder) -> dict[str, int]:
    """Reasons of the records that were not kept, with their counts."""
    from nava.artifacts.clip_manifest import count_reasons

    pairs = zip(corpus.column("status"), corpus.column("drop_reason"), strict=True)
    return count_reasons([{"status": status, "drop_reason": reason} for status, reason in pairs])


def _record_query(text: str) -> RecordQuery:
    """What a request asks for; what makes no sense is taken for nothing."""
    asked = {name: values[-1] for name, values in parse_qs(text[:2000]).items()}
    page = asked.get("page", "")
    status = asked.get("status", "")
    return RecordQuery(
        status if status in STATUSES else "",
        asked.get("reason", ""),
        asked.get("words", ""),
        max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
    )


def _is_loopback(host: str) -> bool:
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
    return name is not None and _is_loopback(name)
