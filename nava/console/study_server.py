"""The web server of a blind user study.

::

    GET  /?rater=NAME                the start, or on to where this rater was
    GET  /rate/<rater>/<position>    a pair; further on than answered leads back to the first that is open
    POST /rate/<rater>/<position>    one answer as JSON; it is on the disk when the browser hears of it
    GET  /rate/<rater>/done          the end
    GET  /media/<item>/<side>        left, right, or image; byte ranges are answered

Raters are known by the name in the address: no cookies, no sessions. Nothing that is sent names a model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, quote, unquote

from nava.console.local_server import HTML, JSON, LocalHandler, LocalServer
from nava.evaluation.study.desk import Answer, StudyDesk, VotesUnreadableError
from nava.evaluation.study.fields import json_object
from nava.evaluation.study.rater_pages import PairView, RaterPage, done_page, pair_page, start_page
from nava.evaluation.study.study_file import CHOICES, LEFT, MEDIA_TYPES, RIGHT, Item
from nava.runtime.errors import InputError

_BODY_BYTES = 4096
_ANSWER_FIELDS = ("item", "criterion", "choice", "seconds", "played")
_MEDIA_HEADERS = {"Cache-Control": "private, max-age=86400"}  # a study's media never change


class StudyServer(LocalServer):
    """The server of one study."""

    def __init__(self, folder: Path, host: str, port: int, raters: Collection[str] = ()) -> None:
        """Read the study and bind the address; port 0 takes a free one.

        Raises:
            InputError: there is no study, its votes are malformed, or the address cannot be bound.
        """
        self.desk = StudyDesk(folder, raters)
        super().__init__(host, port, StudyHandler)


class StudyHandler(LocalHandler):
    """Answers GET, HEAD and POST."""

    server: StudyServer

    def do_GET(self) -> None:  # noqa: N802
        """A page, or a clip."""
        try:
            if not self.is_for_this_server():
                self.send_problem(HTTPStatus.FORBIDDEN, "this study answers to localhost only")
                return
            self._answer()
        except VotesUnreadableError as error:
            self._say_damaged(error)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:  # noqa: N802
        """One answer."""
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        try:
            self._keep(body)
        except VotesUnreadableError as error:
            self._say_damaged(error)
        except InputError as error:
            self.send_problem(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self.send_problem(HTTPStatus.INSUFFICIENT_STORAGE, f"the answer could not be written: {error.strerror}")

    def _say_damaged(self, error: VotesUnreadableError) -> None:
        # Paths may name models, so the message is for the shell of whoever runs the study.
        print(error, file=sys.stderr, flush=True)
        said = "answers cannot be kept at the moment; please tell whoever asked you to take part"
        self.send_problem(HTTPStatus.INTERNAL_SERVER_ERROR, said)

    def _refuse(self) -> None:
        self.close_connection = True
        self.send_problem(HTTPStatus.METHOD_NOT_ALLOWED, "", {"Allow": "GET, HEAD, POST"})

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815

    def _answer(self) -> None:
        match self._parts():
            case [""]:
                query = self.path.partition("?")[2]
                self._send_start(parse_qs(query[:2000], keep_blank_values=True).get("rater"))
            case ["rate", rater]:
                self._send_to_open_pair(rater)
            case ["rate", rater, position]:
                self._send_pair(rater, position)
            case ["media", item_id, side]:
                self._send_media(item_id, side)
            case _:
                self.send_problem(HTTPStatus.NOT_FOUND, "there is no such page; the study begins at /")

    def _parts(self) -> list[str]:
        """The parts of the path, decoded after it is taken apart: a name may have any character."""
        return [unquote(part) for part in self.path.partition("?")[0].split("/")[1:]]

    def _send_start(self, names: list[str] | None) -> None:
        study = self.server.desk.study
        if names is None:
            self._send_page(start_page(study.study_id, len(study.items)))
            return
        try:
            self.send_redirect(_address(self.server.desk.admit(names[-1])))
        except InputError as error:
            page = start_page(study.study_id, len(study.items), name=names[-1][:60], problem=str(error))
            self._send_page(page, HTTPStatus.BAD_REQUEST)

    def _send_to_open_pair(self, name: str) -> None:
        try:
            rater = self.server.desk.admit(name)
        except InputError:
            self.send_redirect(f"/?rater={quote(name[:60], safe='')}")
            return
        place = self.server.desk.place(rater)
        done = place == len(self.server.desk.study.items)
        self.send_redirect(_address(rater, "done" if done else place + 1))

    def _send_pair(self, name: str, position: str) -> None:
        desk = self.server.desk
        try:
            rater = desk.admit(name)
        except InputError:
            self._send_to_open_pair(name)
            return
        order, place = desk.order(rater), desk.place(rater)
        total = len(order)
        if position == "done" and place == total:
            self._send_page(done_page(desk.study.study_id, rater, total, _address(rater, total)))
            return
        number = int(position) if position.isascii() and position.isdigit() and len(position) < 9 else 0
        if rater != name or not 1 <= number <= min(place + 1, total):
            self._send_to_open_pair(name)
            return
        item = order[number - 1]
        case = desk.study.cases_by_id[item.case_id]
        view = PairView(
            item_id=item.item_id,
            prompt=case.prompt,
            image=case.image is not None,
            position=number,
            total=total,
            answered=place,
            choices=desk.answers(rater, item.item_id),
            criteria=desk.study.criteria,
            here=_address(rater, number),
            back=_address(rater, number - 1) if number > 1 else "",
            onward=_address(rater, number + 1) if number < total else _address(rater, "done"),
        )
        self._send_page(pair_page(desk.study.study_id, rater, view))

    def _send_media(self, item_id: str, side: str) -> None:
        desk = self.server.desk
        item = desk.study.items_by_id.get(item_id)
        path = _media_path(item, side, desk.study.cases_by_id[item.case_id].image) if item else None
        if path is None:
            self.send_problem(HTTPStatus.NOT_FOUND, "there is no such clip")
            return
        self.send_media(desk.folder / path, MEDIA_TYPES[PurePosixPath(path).suffix], _MEDIA_HEADERS)

    def _body(self) -> bytes | None:
        """The body of a request that may be an answer; None if it is refused, and then that is said."""
        length = self.headers.get("Content-Length", "")
        if not self.is_for_this_server() or not self._is_own_page():
            self.send_problem(HTTPStatus.FORBIDDEN, "answers come from the pages of this study only")
        elif self.headers.get_content_type() != JSON:
            # A form of another site cannot send this type without asking first, and is refused then.
            self.send_problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"an answer is {JSON}")
        elif not (length.isascii() and length.isdigit()):
            self.send_problem(HTTPStatus.LENGTH_REQUIRED, "")
        elif len(length) > 9 or int(length) > _BODY_BYTES:
            self.send_problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {_BODY_BYTES} bytes")
        else:
            body = self.rfile.read(int(length))
            return body if len(body) == int(length) else None
        return None

    def _is_own_page(self) -> bool:
        origin = self.headers.get("Origin")
        return origin is None or origin.partition("://")[2] == self.headers.get("Host", "")

    def _keep(self, body: bytes) -> None:
        desk = self.server.desk
        parts = self._parts()
        if len(parts) != 3 or parts[0] != "rate":
            self.send_problem(HTTPStatus.NOT_FOUND, "answers are sent to the page of a pair")
            return
        rater = desk.admit(parts[1])
        sent = json_object(body, "the answer")
        sent.only(_ANSWER_FIELDS)
        seconds = sent.amount_or_none("seconds")
        if seconds is None:
            raise sent.wrong("seconds", "must be a number")
        answer = Answer(
            sent.text("item"), sent.text("criterion"), sent.text("choice", CHOICES), seconds, sent.flag("played")
        )
        order = desk.order(rater)
        if parts[2] not in {
            str(number) for number, item in enumerate(order, start=1) if item.item_id == answer.item_id
        }:
            self.send_problem(HTTPStatus.CONFLICT, "this pair is not at this place; please reload the page")
            return
        complete = desk.record(rater, answer)
        self.send_body(json.dumps({"kept": True, "complete": complete}).encode(), JSON)

    def _send_page(self, page: RaterPage, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_body(page.html.encode(), HTML, status, {"Content-Security-Policy": page.policy})


def _media_path(item: Item, side: str, image: str | None) -> str | None:
    return {LEFT: item.left_media, RIGHT: item.right_media, "image": image}.get(side)


def _address(rater: str, page: int | str = "") -> str:
    return f"/rate/{quote(rater, safe='')}" + (f"/{page}" if page else "")
