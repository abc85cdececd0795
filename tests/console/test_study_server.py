"""The study server: raters go on where they were, models stay unnamed, and nothing but answers can be written."""

import html
import http.client
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nava.console.study_server import StudyServer
from nava.evaluation.study.study_file import ALIGNMENT, BROKEN, OVERALL
from nava.evaluation.study.votes import Vote, VoteStore
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, small_study

Answer = tuple[int, dict[str, str], bytes]
PAGE = {"Content_Type": "application/json"}


class Client:
    """Sends requests as they are written: a browser's client would tidy the paths."""

    def __init__(self, server: StudyServer, folder: Path) -> None:
        self.server = server
        self.desk = server.desk
        self.folder = folder
        self.address = ("127.0.0.1", server.server_port)
        self.heard: list[bytes] = []

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None and "Content_Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        found = response.status, dict(response.getheaders()), response.read()
        connection.close()
        self.heard += [json.dumps(found[1]).encode(), found[2]]
        return found

    def place(self, rater: str) -> str:
        """Where a rater is sent."""
        status, headers, _ = self.ask(f"/rate/{quote(rater, safe='')}")
        assert status == 303
        return headers["Location"]

    def answer(self, rater: str, position: int, criterion: str = OVERALL, **changes: Any) -> Answer:
        item = self.desk.order(rater)[position - 1].item_id
        value = {"item": item, "criterion": criterion, "choice": "left", "seconds": 1.5, "played": True} | changes
        path = f"/rate/{quote(rater, safe='')}/{position}"
        return self.ask(path, "POST", json.dumps(value).encode(), **PAGE)

    def votes(self) -> tuple[Vote, ...]:
        return VoteStore(self.folder / "votes.jsonl").read().votes


def served(folder: Path, *raters: str) -> Iterator[Client]:
    with StudyServer(folder, "127.0.0.1", 0, raters) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Client(server, folder)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_study(tmp_path_factory.mktemp("made"), models=MODELS[:2], t2av=2, ti2av=1)[0]


@pytest.fixture
def client(made: Path, tmp_path: Path) -> Iterator[Client]:
    shutil.copytree(made, tmp_path / "study")
    (tmp_path / "secret.txt").write_text("secret")
    yield from served(tmp_path / "study")


def test_a_rater_goes_from_the_start_to_the_end(client: Client) -> None:
    assert client.ask("/")[0] == 200
    status, headers, _ = client.ask("/?rater=Ann%20Lee")
    assert (status, headers["Location"]) == (303, "/rate/ann%20lee")
    total = len(client.desk.study.items)
    for position in range(1, total + 1):
        assert client.place("ann lee") == f"/rate/ann%20lee/{position}"
        status, _, page = client.ask(f"/rate/ann%20lee/{position}")
        assert status == 200
        assert f"Pair {position} of {total}".encode() in page
        assert json.loads(client.answer("ann lee", position)[2]) == {"kept": True, "complete": False}
        assert client.place("ann lee") == f"/rate/ann%20lee/{position}"
        assert json.loads(client.answer("ann lee", position, ALIGNMENT)[2])["complete"] is True
    assert client.place("ann lee") == "/rate/ann%20lee/done"
    status, _, page = client.ask("/rate/ann%20lee/done")
    assert status == 200
    assert b"Thank you" in page
    assert len(client.votes()) == 2 * total


def test_nobody_is_told_a_model_or_a_file(client: Client) -> None:
    client.ask("/")
    for position, item in enumerate(client.desk.order("ann"), start=1):
        client.ask(f"/rate/ann/{position}")
        for side in ("left", "right", "image", "other"):
            client.ask(f"/media/{item.item_id}/{side}", "HEAD")
            client.ask(f"/media/{item.item_id}/{side}")
        for criterion in (OVERALL, ALIGNMENT, "mood"):
            client.answer("ann", position, criterion)
    client.ask("/rate/ann/done")
    client.ask("/nowhere")
    heard = b"\n".join(client.heard).lower()
    assert b"pair 1 of" in heard
    assert b"thank you" in heard
    hidden = [*MODELS, BROKEN, str(client.folder), *(Path(path).stem for path in client.desk.study.media_paths())]
    assert [name for name in hidden if name.lower().encode() in heard] == []


def test_pages_of_all_kinds_of_items_are_alike(client: Client) -> None:
    """But for prompt, picture, ids and places, nothing tells an attention check or a repeat from a vote."""
    shapes = set()
    for position, item in enumerate(client.desk.order("ann"), start=1):
        page = client.ask(f"/rate/ann/{position}")[2].decode()
        case = client.desk.study.cases_by_id[item.case_id]
        page = page.replace(html.escape(case.prompt), "PROMPT").replace(item.item_id, "ITEM")
        page = re.sub(r"<figure class=.study-given.*?</figure>|<a class=.study-back.*?</a>|<span></span>", "", page)
        shapes.add(re.sub(r"\d+", "N", page).replace("rate/ann/done", "rate/ann/N"))
        for criterion in (OVERALL, ALIGNMENT):
            client.answer("ann", position, criterion)
    assert len(shapes) == 1


def test_two_raters_do_not_disturb_each_other(client: Client) -> None:
    client.answer("ann", 1)
    client.answer("bob", 1, choice="tie")
    client.answer("ann", 1, ALIGNMENT)
    assert client.place("ann") == "/rate/ann/2"
    assert client.place("bob") == "/rate/bob/1"
    assert [(vote.rater, vote.choice) for vote in client.votes()] == [("ann", "left"), ("bob", "tie"), ("ann", "left")]


def test_many_answers_at_once_are_all_kept(client: Client) -> None:
    def work(rater: str) -> None:
        for position in range(1, 4):
            assert client.answer(rater, position)[0] == 200

    threads = [threading.Thread(target=work, args=(f"r{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(vote.rater, vote.item_id) for vote in client.votes()}) == len(client.votes()) == 24


def test_one_may_go_back_and_answer_again_but_not_ahead(client: Client) -> None:
    for criterion in (OVERALL, ALIGNMENT):
        client.answer("ann", 1, criterion)
    status, _, page = client.ask("/rate/ann/1")
    assert status == 200
    assert page.count(b'data-choice="left" aria-pressed="true"') == 2
    assert client.answer("ann", 1, choice="right")[0] == 200
    assert b'data-choice="right" aria-pressed="true"' in client.ask("/rate/ann/1")[2]
    assert client.place("ann") == "/rate/ann/2"
    for ahead in ("3", "99", "done", "0", "-1", "x", "1.0", "99999999999"):
        status, headers, _ = client.ask(f"/rate/ann/{ahead}")
        assert (status, headers["Location"]) == (303, "/rate/ann/2")


def test_a_new_server_goes_on_where_the_old_one_was(client: Client) -> None:
    for criterion in (OVERALL, ALIGNMENT):
        client.answer("ann", 1, criterion)
    for other in served(client.folder):
        assert other.place("ann") == "/rate/ann/2"
        other.answer("ann", 2)
    assert OVERALL in client.desk.answers("ann", client.desk.order("ann")[1].item_id)


@pytest.mark.parametrize("name", ["", "%20", "..", "x" * 61, "%00", "a%E2%80%8Bb"])
def test_what_is_no_name_is_said_on_the_start_page(client: Client, name: str) -> None:
    status, _, page = client.ask(f"/?rater={name}")
    assert status == 400
    assert b'role="alert"' in page
    status, headers, _ = client.ask(f"/rate/{name}/1")
    assert status == 303
    assert headers["Location"].startswith("/?rater=")


def test_other_forms_of_a_name_lead_to_its_one_form(client: Client) -> None:
    assert client.ask("/rate/ANN/1")[1]["Location"] == "/rate/ann/1"
    assert client.ask("/rate/zo%C3%AB%2F7/1")[0] == 200
    assert client.place("zoë/7") == "/rate/zo%C3%AB%2F7/1"


def test_a_closed_study_admits_those_invited_only(client: Client) -> None:
    for closed in served(client.folder, "code-1"):
        assert closed.ask("/?rater=code-1")[0] == 303
        assert closed.ask("/?rater=code-2")[0] == 400
        assert closed.answer("code-2", 1)[0] == 400
        assert closed.answer("code-1", 1)[0] == 200


def test_media_come_whole_and_in_parts(client: Client) -> None:
    for item in client.desk.study.items:
        for side, path in (("left", item.left_media), ("right", item.right_media)):
            data = (client.folder / path).read_bytes()
            status, headers, body = client.ask(f"/media/{item.item_id}/{side}")
            assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, "video/mp4", "bytes")
            assert body == data
    for asked, (start, end) in {"bytes=0-9": (0, 10), "bytes=100-": (100, len(data)), "bytes=-7": (-7, None)}.items():
        status, headers, body = client.ask(f"/media/{item.item_id}/right", Range=asked)
        assert (status, body) == (206, data[start:end])
        assert headers["Content-Range"].endswith(f"/{len(data)}")
    assert client.ask(f"/media/{item.item_id}/right", Range=f"bytes={len(data)}-")[0] == 416
    assert client.ask(f"/media/{item.item_id}/right", "HEAD")[2] == b""


def test_the_picture_of_a_case_comes_where_there_is_one(client: Client) -> None:
    kinds = {}
    for item in client.desk.study.items:
        status, headers, _ = client.ask(f"/media/{item.item_id}/image")
        kinds[client.desk.study.cases_by_id[item.case_id].task] = (status, headers["Content-Type"])
    assert kinds == {"TI2AV": (200, "image/png"), "T2AV": (404, "text/plain; charset=utf-8")}


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/media/../../secret.txt",
        "/media/%2e%2e/%2e%2e/secret.txt",
        "/media/..%2f..%2fsecret.txt/left",
        "/study.json",
        "/votes.jsonl",
        "/media/",
        "/media/study.json/left",
        "/rate",
        "/rate/ann/1/2",
        "//etc/passwd",
        "//[",
        "/%00",
        "*",
    ],
)
def test_nothing_else_is_there(client: Client, path: str) -> None:
    status, _, body = client.ask(path)
    assert status == 404
    assert b"secret\n" not in body


def test_a_file_is_not_found_by_its_name_in_the_folder(client: Client) -> None:
    for path in client.desk.study.media_paths():
        assert client.ask(f"/{path}")[0] == 404
        assert client.ask(f"/media/{Path(path).stem}/left")[0] == 404


class TestRefusedAnswers:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"choice": "up"}, "field 'choice'"),
            ({"choice": None}, "field 'choice'"),
            ({"criterion": "mood"}, "not part of the study"),
            ({"seconds": -1}, "field 'seconds'"),
            ({"seconds": None}, "field 'seconds'"),
            ({"seconds": "3"}, "field 'seconds'"),
            ({"played": "yes"}, "field 'played'"),
            ({"model": "bob"}, "unknown field 'model'"),
        ],
    )
    def test_what_is_no_answer(self, client: Client, changes: dict[str, Any], said: str) -> None:
        status, _, body = client.answer("ann", 1, **changes)
        assert status == 400
        assert said in body.decode()
        assert client.votes() == ()

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 4000, b'{"item": NaN}'])
    def test_what_is_no_json(self, client: Client, body: bytes) -> None:
        assert client.ask("/rate/ann/1", "POST", body, **PAGE)[0] == 400
        assert client.ask("/")[0] == 200

    def test_a_pair_that_is_not_at_this_place(self, client: Client) -> None:
        assert client.answer("ann", 1, item=client.desk.order("ann")[1].item_id)[0] == 409
        assert client.answer("ann", 1, item="gone")[0] == 409
        assert client.votes() == ()

    def test_a_body_that_is_too_long(self, client: Client) -> None:
        assert client.ask("/rate/ann/1", "POST", b"x" * 4097, **PAGE)[0] == 413
        headers = PAGE | {"Content_Length": "9" * 30}
        assert client.ask("/rate/ann/1", "POST", b"", **headers)[0] == 413

    @pytest.mark.parametrize("length", ["-1", "x", "1e3", "٣"])
    def test_a_length_that_is_none(self, client: Client, length: str) -> None:
        with socket.create_connection(client.address, timeout=20) as connection:
            lines = ["POST /rate/ann/1 HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
            lines += [f"Content-Length: {length}", "", ""]
            connection.sendall("\r\n".join(lines).encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 411 ")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Content_Type": "text/plain"}, 415),
            ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
            ({}, 415),
            (PAGE | {"Origin": "http://evil.example"}, 403),
            (PAGE | {"Origin": "null"}, 403),
            (PAGE | {"Origin": "http://["}, 403),
            (PAGE | {"Host": "evil.example"}, 403),
        ],
    )
    def test_answers_from_elsewhere(self, client: Client, headers: dict[str, str], status: int) -> None:
        item = client.desk.order("ann")[0].item_id
        value = {"item": item, "criterion": OVERALL, "choice": "left", "seconds": 1, "played": True}
        body = json.dumps(value).encode()
        assert client.ask("/rate/ann/1", "POST", body, **headers)[0] == status
        assert client.votes() == ()
        own = PAGE | {"Origin": f"http://127.0.0.1:{client.address[1]}"}
        assert client.ask("/rate/ann/1", "POST", body, **own)[0] == 200

    @pytest.mark.parametrize("path", ["/", "/rate/ann", "/rate/ann/1/2", "/media/x/left", "/rate/ann/x"])
    def test_other_addresses(self, client: Client, path: str) -> None:
        item = client.desk.order("ann")[0].item_id
        value = {"item": item, "criterion": OVERALL, "choice": "left", "seconds": 1, "played": True}
        assert client.ask(path, "POST", json.dumps(value).encode(), **PAGE)[0] in (404, 409)
        assert client.votes() == ()

    def test_a_disk_that_takes_nothing_is_said(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(store: VoteStore, vote: Vote) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(VoteStore, "append", full)
        status, _, body = client.answer("ann", 1)
        assert status == 507
        assert b"could not be written: No space left on device" in body

    def test_one_that_hangs_up_within_its_answer(self, client: Client, capfd: pytest.CaptureFixture[str]) -> None:
        with socket.create_connection(client.address) as connection:
            lines = ["POST /rate/ann/1 HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
            connection.sendall("\r\n".join([*lines, "Content-Length: 100", "", '{"item"']).encode())
        assert client.ask("/")[0] == 200
        assert client.votes() == ()
        assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    status, headers, _ = client.ask("/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.7"])
def test_another_name_for_this_machine_is_refused(client: Client, host: str) -> None:
    assert client.ask("/", Host=host)[0] == 403


def test_pages_may_not_be_framed_stored_or_taken_for_something_else(client: Client) -> None:
    for path in ("/", "/rate/ann/1"):
        headers = client.ask(path)[1]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in headers
        assert headers["Server"].strip() == "nava"


def test_what_raters_type_is_given_back_escaped(client: Client) -> None:
    attack = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    assert b"<script>alert(1)" not in client.ask(f"/?rater={attack}{'x' * 60}")[2]
    assert b"<script>alert(1)" not in client.ask(f"/rate/{attack}/1")[2]


def test_votes_that_became_unreadable_are_said_to_the_owner_and_not_overwritten(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    client.answer("ann", 1)
    with (client.folder / "votes.jsonl").open("ab") as file:
        file.write(b"{}\n")
    status, _, body = client.ask("/rate/ann/1")
    assert status == 500
    assert b"answers cannot be kept at the moment" in body
    assert b"votes.jsonl" not in body
    assert "votes.jsonl, line 2: field 'schema_version' is missing" in capfd.readouterr().err
    before = (client.folder / "votes.jsonl").read_bytes()
    status, _, body = client.answer("ann", 1)
    assert status == 500
    assert b"votes.jsonl" not in body
    assert (client.folder / "votes.jsonl").read_bytes() == before


def test_a_taken_port_and_a_folder_without_a_study_are_wrong_input(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{client.address[1]}"):
        StudyServer(client.folder, "127.0.0.1", client.address[1])
    with pytest.raises(InputError, match="holds no study"):
        StudyServer(tmp_path, "127.0.0.1", 0)


def test_a_server_for_the_network_knows_that_it_is_one(client: Client) -> None:
    with StudyServer(client.folder, "0.0.0.0", 0) as server:
        assert not server.loopback
        assert server.url == f"http://127.0.0.1:{server.server_port}/"
