"""The raters' pages in a real browser: a study is answered by two raters, through a reload and a killed server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nava.console.study_command import study
from nava.evaluation.study.study_file import ALIGNMENT, OVERALL, read_study
from nava.evaluation.study.votes import Vote, VoteStore
from tests.e2e.test_page_chromium import CONTRAST
from tests.e2e.visit import PHONE, Visit
from tests.evaluation.study.small_study import MODELS, small_study

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]


class Served:
    """A server in a process of its own, which may be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        code = "from nava.console.study_command import study; study()"
        command = [sys.executable, "-c", code, "serve", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split(": ")[0]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=20)

    def votes(self) -> tuple[Vote, ...]:
        return VoteStore(self.folder / "votes.jsonl").read().votes


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder, _ = small_study(tmp_path, models=MODELS[:2], t2av=1, ti2av=1, checks=1, repeats=1)
    server = Served(folder)
    yield server
    server.kill()


def play_both(page: Any) -> None:
    """As a rater does it, with the keys; each clip until the page says that it was played."""
    for key, side in (("a", "left"), ("b", "right")):
        page.keyboard.press(key)
        page.wait_for_selector(f"[data-side={side}].is-played", timeout=20_000)


def choose(page: Any, digit: str) -> None:
    """Answer by key and wait until the server has said that it is kept."""
    with page.expect_response(lambda response: response.request.method == "POST") as kept:
        page.keyboard.press(digit)
    assert kept.value.status == 200
    page.wait_for_function(
        "digit => document.querySelectorAll('[data-choice]')[digit - 1].getAttribute('aria-pressed') === 'true'",
        arg=int(digit),
    )


def enabled(page: Any) -> int:
    return int(page.locator("[data-choice]:enabled").count())


def test_two_raters_a_reload_and_a_killed_server(browser: Any, served: Served) -> None:
    total = len(read_study(served.folder).items)
    with Visit(browser, served.url) as ann, Visit(browser, f"{served.url}?rater=bob") as bob:
        ann.page.get_by_label("Your name").fill("Ann")
        ann.page.keyboard.press("Enter")
        ann.page.wait_for_url("**/rate/ann/1")
        # Nothing can be answered before both clips were played.
        assert enabled(ann.page) == 0
        ann.page.keyboard.press("1")
        ann.page.keyboard.press("a")
        ann.page.wait_for_selector("[data-side=left].is-played", timeout=20_000)
        assert enabled(ann.page) == 0
        assert served.votes() == ()
        play_both(ann.page)
        assert enabled(ann.page) == 6
        choose(ann.page, "3")
        assert ann.page.locator("#study-next").is_hidden()

        # Bob is at a first pair of his own meanwhile.
        assert bob.page.url.endswith("/rate/bob/1")
        play_both(bob.page)
        choose(bob.page, "2")
        choose(bob.page, "5")
        bob.page.keyboard.press("Enter")
        bob.page.wait_for_url("**/rate/bob/2")

        # A reload in the middle: the answer is there, what was played is known, and the second question is open.
        ann.page.goto(served.url + "rate/ann")
        ann.page.wait_for_url("**/rate/ann/1")
        assert ann.page.locator("[aria-pressed=true]").all_inner_texts() == ["B is better 3"]
        assert enabled(ann.page) == 6

        # The server dies. The answer in flight is not kept, the rater is told so, and the page stays as it was.
        before = served.votes()
        served.kill()
        ann.page.keyboard.press("4")
        ann.page.wait_for_selector("#study-problem:not([hidden])")
        assert "not kept" in ann.page.locator("#study-problem").inner_text()
        assert ann.page.locator("[aria-pressed=true]").count() == 1
        assert served.votes() == before

        # It comes back: the same key again, and on to the end.
        served.start()
        choose(ann.page, "4")
        assert ann.page.locator("#study-problem").is_hidden()
        for position in range(2, total + 1):
            ann.page.keyboard.press("Enter")
            ann.page.wait_for_url(f"**/rate/ann/{position}")
            play_both(ann.page)
            choose(ann.page, "1")
            choose(ann.page, "6")
        ann.page.keyboard.press("Enter")
        ann.page.wait_for_url("**/rate/ann/done")
        assert ann.page.locator("h1").inner_text() == "Thank you"

        answers = {(vote.rater, vote.item_id, vote.criterion) for vote in served.votes()}
        assert len(answers) == len(served.votes()) == 2 * total + 2
        assert all(vote.played and vote.seconds and vote.seconds > 0.3 for vote in served.votes())
        first = [vote for vote in served.votes() if vote.rater == "ann"][:2]
        assert [(vote.criterion, vote.choice) for vote in first] == [(OVERALL, "right"), (ALIGNMENT, "left")]
        # Only the server was asked, and the browser complained of nothing but the server's death.
        asked = {url for visit in (ann, bob) for url in visit.requests if not url.startswith((served.url, "data:"))}
        assert asked == set()
        assert bob.complaints == []
        assert len(ann.complaints) == 1
        assert "ERR_CONNECTION_REFUSED" in ann.complaints[0]
    report = CliRunner().invoke(study, ["report", str(served.folder), "--allowed-failures", "1"])
    assert report.exit_code == 0, report.exception
    with Visit(browser, served.folder / "report" / "result.html") as visit:
        assert visit.complaints == []
        assert visit.page.evaluate(CONTRAST) == []
        assert visit.page.locator("svg.bar[aria-label]").count() >= 2


def test_an_answer_that_the_server_refuses_is_not_shown_as_given(browser: Any, served: Served) -> None:
    with Visit(browser, f"{served.url}?rater=ann") as visit:
        play_both(visit.page)
        with (served.folder / "votes.jsonl").open("ab") as file:
            file.write(b"no vote\n")
        visit.page.keyboard.press("1")
        visit.page.wait_for_selector("#study-problem:not([hidden])")
        assert "cannot be kept" in visit.page.locator("#study-problem").inner_text()
        assert visit.page.locator("[aria-pressed=true]").count() == 0


def test_a_rater_goes_back_and_changes_an_answer(browser: Any, served: Served) -> None:
    with Visit(browser, f"{served.url}?rater=ann") as visit:
        page = visit.page
        assert page.locator("#study-back").count() == 0
        play_both(page)
        choose(page, "1")
        choose(page, "4")
        page.get_by_role("link", name="Next").click()
        page.wait_for_url("**/rate/ann/2")
        page.keyboard.press("Backspace")
        page.wait_for_url("**/rate/ann/1")
        assert page.locator("[aria-pressed=true]").all_inner_texts() == ["A is better 1", "A is better 4"]
        page.get_by_role("button", name="No difference").first.click()
        page.wait_for_selector('[data-choice="tie"][aria-pressed=true]')
        assert page.locator("[aria-pressed=true]").all_inner_texts() == ["No difference 2", "A is better 4"]
        assert [vote.choice for vote in served.votes()] == ["left", "left", "tie"]
        assert len({vote.item_id for vote in served.votes()}) == 1


@pytest.mark.parametrize("way", ["sought", "muted"])
def test_a_clip_that_was_not_watched_and_heard_is_not_played(browser: Any, served: Served, way: str) -> None:
    with Visit(browser, f"{served.url}?rater=ann") as visit:
        state = visit.page.evaluate(
            """async (way) => {
                 const video = document.querySelector("video");
                 if (video.readyState < 1) await new Promise((done) => video.addEventListener("loadedmetadata", done));
                 if (way === "muted") video.muted = true;
                 else video.currentTime = video.duration - 0.1;
                 const end = new Promise((done) => video.addEventListener("ended", done, { once: true }));
                 await video.play();
                 await end;
                 return document.querySelector("[data-state]").textContent;
               }""",
            way,
        )
        assert state == {"sought": "please play it whole", "muted": "please play it with sound"}[way]
        assert visit.page.locator(".is-played").count() == 0
        visit.page.evaluate("document.querySelector('video').muted = false")
        play_both(visit.page)
        assert enabled(visit.page) == 6


def test_one_clip_sounds_at_a_time(browser: Any, served: Served) -> None:
    with Visit(browser, f"{served.url}?rater=ann") as visit:
        paused = visit.page.evaluate(
            """async () => {
                 const [first, second] = document.querySelectorAll("video");
                 await first.play();
                 await second.play();
                 return first.paused && !second.paused;
               }"""
        )
        assert paused


def test_a_clip_that_cannot_be_played_lets_the_rater_go_on_and_does_not_count(browser: Any, served: Served) -> None:
    for path in (served.folder / "media").glob("*.mp4"):
        path.unlink()
        path.write_bytes(b"no video any more")
    with Visit(browser, f"{served.url}?rater=ann") as visit:
        visit.page.wait_for_selector("[data-choice]:enabled", timeout=20_000)
        assert "will not be counted" in visit.page.locator("#study-hint").inner_text()
        choose(visit.page, "2")
        assert [vote.played for vote in served.votes()] == [False]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "?rater=..", "rate/ann/1"])
def test_pages_are_readable_and_fit_a_phone(browser: Any, served: Served, path: str, scheme: str) -> None:
    with Visit(browser, served.url + path, viewport=PHONE, color_scheme=scheme) as visit:
        assert visit.page.evaluate(CONTRAST) == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert [line for line in visit.complaints if "400" not in line] == []
        heights = visit.page.evaluate(
            "[...document.querySelectorAll('button, main a, input')].map((one) => one.getBoundingClientRect().height)"
        )
        assert min([height for height in heights if height] or [48]) >= 44
