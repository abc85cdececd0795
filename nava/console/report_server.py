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

import json
import threading
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote

from nava.artifacts.clip_manifest import MANIFEST_NAME
from nava.artifacts.gate_verdict import PAGE_FILE
from nava.console.clip_facts import clip_page, clip_value
from nava.console.clip_media_links import MEDIA_TYPES, ServedLinks
from nava.console.corpus_facts import ReportSize, corpus_report, record_page
from nava.console.curated_folder import GATE_DIR, CuratedFolder
from nava.console.local_server import HTML, JSON, LocalHandler, LocalServer
from nava.pages.clip_page import render_clip_page
from nava.pages.corpus_report_page import CLIPS_PATH, STATUSES, RecordQuery, render_corpus_report, render_record_list
from nava.runtime.errors import NavaError

_SIZE = ReportSize(gallery=12, records=25)
_PAGE_SIZE = 48
# Pages carry a policy of their own; a second, stricter one would keep them from their style.
_POLICY = {"Content-Security-Policy": "frame-ancestors 'none'"}
_MEDIA_KINDS = ("video", "sound", "model_sound", "thumbnail")


class ReportServer(LocalServer):
    """The server of one folder. The manifest is read once, and again when it is replaced."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        """Bind the address; port 0 takes a free one.

        Raises:
            InputError: the folder is no curated corpus, or the address cannot be bound.
        """
        self._lock = threading.Lock()
        self._path = folder
        self._stamp = self._manifest_stamp()
        self._folder = CuratedFolder(folder)
        super().__init__(host, port, ReportHandler)

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


class ReportHandler(LocalHandler):
    """Answers GET and HEAD."""

    server: ReportServer
    _links: ClassVar[ServedLinks] = ServedLinks()

    def do_GET(self) -> None:  # noqa: N802
        """A page, or a file."""
        try:
            if not self.is_for_this_server():
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

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        corpus = self.server.corpus()
        if path == "/":
            href = "/gate" if corpus.verdict() else ""
            page = render_corpus_report(corpus_report(corpus, self._links, _SIZE, href), on_server=True)
            self._send(page.encode(), HTML)
        elif path == "/gate":
            self._send_gate(corpus)
        elif path == CLIPS_PATH:
            self._send_list(corpus, query)
        elif path.startswith(f"{CLIPS_PATH}/"):
            self._send_record(corpus, path.removeprefix(f"{CLIPS_PATH}/"))
        else:
            self._problem(HTTPStatus.NOT_FOUND, "there is no such page; the report is at /")

    def _send_gate(self, corpus: CuratedFolder) -> None:
        try:
            self._send((corpus.path / GATE_DIR / PAGE_FILE).read_bytes(), HTML)
        except OSError:
            self._problem(HTTPStatus.NOT_FOUND, f"nobody validated {corpus.path}: nava data validate {corpus.path}")

    def _send_list(self, corpus: CuratedFolder, text: str) -> None:
        query = _record_query(text)
        cards, found, pages = record_page(corpus, query, self._links, _PAGE_SIZE)
        reasons = corpus_reasons(corpus)
        self._send(render_record_list(corpus.path.name, query, cards, found, pages, reasons).encode(), HTML)

    def _send_record(self, corpus: CuratedFolder, rest: str) -> None:
        # Decoded after it is taken apart: an id may have any character.
        name, kind = map(unquote, rest.partition("/")[::2])
        as_json = name.endswith(".json") and not kind
        clip_id = name.removesuffix(".json") if as_json else name
        if clip_id not in corpus or (kind and kind not in _MEDIA_KINDS):
            self._problem(HTTPStatus.NOT_FOUND, f"no record of {corpus.path.name} is called '{name}'")
        elif as_json:
            self._send(json.dumps(clip_value(corpus, clip_id), indent=2, ensure_ascii=False).encode(), JSON)
        elif kind:
            self._send_file(corpus.file(corpus.row(clip_id), kind))
        else:
            self._send(render_clip_page(clip_page(corpus, clip_id, self._links, "/"), on_server=True).encode(), HTML)

    def _send_file(self, path: Path | None) -> None:
        """A file, or the range of it that is asked for."""
        if path is None or not path.is_file():
            self._problem(HTTPStatus.NOT_FOUND, "the record has no such file in this folder")
        else:
            self.send_media(path, MEDIA_TYPES[path.suffix], _POLICY)

    def _send(self, body: bytes, kind: str) -> None:
        self.send_body(body, kind, headers=_POLICY)

    def _problem(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        told = f"{status.value} {status.phrase}: {text}" if text else f"{status.value} {status.phrase}"
        self.send_problem(status, told, _POLICY | (headers or {}))


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
