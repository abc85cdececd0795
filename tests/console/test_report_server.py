"""The report server answers what it has, in parts where a player wants parts, and nothing beside it."""

import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nava.console.report_server import ReportServer
from nava.runtime.errors import InputError
from tests.console.small_corpus import BROKEN, COPY, KEPT, SOUND, TITLED, record, validated, write_corpus, write_tables

Answer = tuple[int, dict[str, str], bytes]


class Client:
    """Sends requests as they are written: a browser's client would tidy the paths."""

    def __init__(self, server: ReportServer) -> None:
        self.server = server
        self.address = ("127.0.0.1", server.server_port)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), body


def served(folder: Path) -> Iterator[Client]:
    with ReportServer(folder, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Client(server)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    (root / "secret.txt").write_text("secret")
    folder = write_corpus(root / "corpus")
    validated(folder)
    return folder


@pytest.fixture(scope="module")
def client(corpus: Path) -> Iterator[Client]:
    yield from served(corpus)


@pytest.mark.parametrize(
    "path", ["/", "/clips", "/gate", *(f"/clips/{one}" for one in (KEPT, SOUND, COPY, TITLED, BROKEN))]
)
def test_pages_are_html_that_may_not_be_framed_or_stored(client: Client, path: str) -> None:
    status, headers, body = client.ask(path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_report_links_its_records_and_the_verdict(client: Client) -> None:
    page = client.ask("/")[2].decode()
    for target in (
        f"/clips/{KEPT}",
        f"/clips/{COPY}",
        "/clips?status=kept",
        "/clips?status=not_kept&amp;reason=subtitle_text",
    ):
        assert f'href="{target}' in page
    assert 'href="/gate"' in page


def test_a_record_is_json_for_programs(client: Client) -> None:
    status, headers, body = client.ask(f"/clips/{KEPT}.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["clip"]["clip_id"] == KEPT


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("", [KEPT, COPY, TITLED, BROKEN], []),
        ("?status=kept", [KEPT[:12]], [TITLED]),
        ("?status=not_kept", [TITLED, BROKEN], [SOUND]),
        ("?reason=subtitle_text", [TITLED], [COPY]),
        ("?words=red+square", [KEPT], [SOUND]),
        ("?words=%C3%A9", ["No record matches"], [KEPT]),
        ("?status=wrong&page=x&reason=", [KEPT], []),
        ("?page=-3", [KEPT], []),
        ("?page=99999999999999", [KEPT], []),
    ],
)
def test_records_are_searched(client: Client, query: str, there: list[str], gone: list[str]) -> None:
    status, _, body = client.ask(f"/clips{query}")
    assert status == 200
    assert all(text in body.decode() for text in there)
    assert not any(text in body.decode() for text in gone)


def test_a_search_is_given_back_escaped(client: Client) -> None:
    page = client.ask("/clips?words=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")[2].decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("kind", "suffix", "media_type"),
    [
        ("video", ".mp4", "video/mp4"),
        ("sound", ".flac", "audio/flac"),
        ("model_sound", ".wav", "audio/wav"),
        ("thumbnail", ".jpg", "image/jpeg"),
    ],
)
def test_media_come_whole(client: Client, corpus: Path, kind: str, suffix: str, media_type: str) -> None:
    folder = "thumbnails" if kind == "thumbnail" else "media"
    data = (corpus / folder / f"{KEPT}{suffix}").read_bytes()
    status, headers, body = client.ask(f"/clips/{KEPT}/{kind}")
    assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, media_type, "bytes")
    assert body == data
    assert "Content-Range" not in headers


def test_media_come_in_parts(client: Client, corpus: Path) -> None:
    data = (corpus / "media" / f"{KEPT}.mp4").read_bytes()
    size = len(data)
    for asked, (start, end) in {
        "bytes=0-9": (0, 10),
        "bytes=100-": (100, size),
        "bytes=-7": (size - 7, size),
        "bytes=0-": (0, size),
    }.items():
        status, headers, body = client.ask(f"/clips/{KEPT}/video", Range=asked)
        assert (status, headers["Content-Range"]) == (206, f"bytes {start}-{end - 1}/{size}")
        assert body == data[start:end]
        assert headers["Content-Length"] == str(end - start)


def test_a_range_behind_the_end_is_refused(client: Client, corpus: Path) -> None:
    size = (corpus / "media" / f"{KEPT}.mp4").stat().st_size
    status, headers, _ = client.ask(f"/clips/{KEPT}/video", Range=f"bytes={size}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    "asked", [{"Range": "bytes=0-1,5-6"}, {"Range": "lines=1-2"}, {"Range": "bytes=0-1", "If_Range": '"x"'}]
)
def test_other_ranges_come_whole(client: Client, corpus: Path, asked: dict[str, str]) -> None:
    status, headers, body = client.ask(f"/clips/{KEPT}/video", **asked)
    assert status == 200
    assert "Content-Range" not in headers
    assert len(body) == (corpus / "media" / f"{KEPT}.mp4").stat().st_size


def test_a_head_has_the_headers_and_no_body(client: Client, corpus: Path) -> None:
    status, headers, body = client.ask(f"/clips/{KEPT}/video", method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == str((corpus / "media" / f"{KEPT}.mp4").stat().st_size)
    assert client.ask("/", method="HEAD")[2] == b""


def test_media_of_a_dropped_clip_come_from_the_work(client: Client) -> None:
    assert client.ask(f"/clips/{COPY}/video")[0] == 200
    assert client.ask(f"/clips/{TITLED}/video")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/clips/../../secret.txt",
        "/clips/%2e%2e/%2e%2e/secret.txt",
        "/clips/..%2f..%2fsecret.txt/video",
        f"/clips/{KEPT}/../../../secret.txt",
        f"/clips/{KEPT}/video/../../../secret.txt",
        f"/clips/{KEPT}/%2e%2e%2fsecret.txt",
        "/media/",
        f"/media/{KEPT}.mp4",
        "/clips.parquet",
        "/curation.json",
        "/.work/",
        "//etc/passwd",
        "/clips/",
        "/clips/nobody",
        f"/clips/{KEPT}/picture",
        f"/clips/{KEPT}.json/video",
        f"/clips/{KEPT[:10]}",
        "/gate/verdict.json",
        "/%00",
        "/clips/%00",
    ],
)
def test_nothing_else_is_there(client: Client, path: str) -> None:
    status, headers, body = client.ask(path)
    assert status == 404
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"secret\n" not in body
    assert body.startswith(b"404 Not Found: ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(client: Client, method: str) -> None:
    status, headers, _ = client.ask("/", method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "10.0.0.7"])
def test_another_name_for_this_machine_is_refused(client: Client, host: str) -> None:
    assert client.ask("/", Host=host)[0] == 403
    assert client.ask(f"/clips/{KEPT}/video", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:1", "[::1]:8765"])
def test_names_of_this_machine_are_answered(client: Client, host: str) -> None:
    assert client.ask("/", method="HEAD", Host=host)[0] == 200


def test_a_player_that_hangs_up_disturbs_nobody(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(client.address) as connection:
        connection.sendall(f"GET /clips/{KEPT}/video HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert client.ask("/", method="HEAD")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_new_manifest_is_read_and_a_missing_gate_is_said(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")])
    for client in served(tmp_path):
        assert client.ask(f"/clips/{TITLED}")[0] == 404
        before = client.server.corpus()
        assert client.server.corpus() is before
        write_tables(tmp_path, [record(KEPT, "one"), record(TITLED, "two")])
        assert client.ask(f"/clips/{TITLED}")[0] == 200
        assert b"not validated" in client.ask("/")[2]
        status, _, body = client.ask("/gate")
        assert status == 404
        assert b"nava data validate" in body
        (tmp_path / "clips.parquet").write_bytes(b"broken")
        os.utime(tmp_path / "clips.parquet", (1, 1))
        status, _, body = client.ask("/")
        assert status == 500
        assert b"holds no curated clips" in body


def test_an_empty_corpus_is_served(tmp_path: Path) -> None:
    write_tables(tmp_path, [])
    for client in served(tmp_path):
        assert client.ask("/")[0] == 200
        assert b"No record matches" in client.ask("/clips")[2]


def test_hostile_ids_lead_to_their_own_pages_only(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    names = ["../../secret", '"><script>alert(1)</script>', "a b?c#d", "ä"]
    write_tables(tmp_path / "corpus", [record(name, "one", t0_us=number) for number, name in enumerate(names)])
    for client in served(tmp_path / "corpus"):
        page = client.ask("/clips")[2].decode()
        assert "<script>alert(1)" not in page
        assert client.ask("/clips/a%20b%3Fc%23d")[0] == 200
        assert client.ask("/clips/%C3%A4")[0] == 200
        assert b"<script>alert(1)" not in client.ask("/clips/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")[2]
        assert client.ask("/clips/..%2F..%2Fsecret/video")[0] == 404


def test_a_taken_port_is_wrong_input(client: Client, corpus: Path) -> None:
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{client.address[1]}"):
        ReportServer(corpus, "127.0.0.1", client.address[1])


def test_a_folder_without_clips_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no curated clips"):
        ReportServer(tmp_path, "127.0.0.1", 0)


def test_a_server_for_the_network_knows_that_it_is_one(corpus: Path) -> None:
    with ReportServer(corpus, "0.0.0.0", 0) as server:
        assert not server.loopback
        assert server.url == f"http://127.0.0.1:{server.server_port}/"
    with ReportServer(corpus, "localhost", 0) as server:
        assert server.loopback
