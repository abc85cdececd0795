"""The report on a corpus in a real browser: from the running server, and as a file."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nava.cli import main
from nava.console.report_server import ReportServer
from tests.console.small_corpus import BROKEN, COPY, KEPT, SOUND, TITLED, record, validated, write_corpus, write_tables
from tests.e2e.test_page_chromium import CONTRAST
from tests.e2e.visit import PHONE, Visit, play

pytestmark = pytest.mark.e2e
PATHS = ["", "clips", "clips?status=kept", *(f"clips/{one}" for one in (KEPT, SOUND, COPY, TITLED, BROKEN))]
ATTACK = "<img src=x onerror=window.attacked=1><script>window.attacked=1</script>"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("browsed") / "corpus")
    validated(folder, passed=False)
    return folder


def serve(folder: Path) -> Iterator[str]:
    with ReportServer(folder, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def url(corpus: Path) -> Iterator[str]:
    yield from serve(corpus)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_pages_open_without_errors_and_ask_only_their_server(browser: Any, url: str, path: str, scheme: str) -> None:
    with Visit(browser, url + path, color_scheme=scheme) as visit:
        visit.page.wait_for_timeout(100)
        assert visit.complaints == []
        assert [asked for asked in visit.requests if not asked.startswith((url, "data:"))] == []
        assert visit.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_phone_needs_no_sideways_scrolling(browser: Any, url: str, path: str) -> None:
    with Visit(browser, url + path, viewport=PHONE) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert visit.page.locator("h1").is_visible()


@pytest.mark.parametrize("clip_id", [KEPT, COPY])
def test_a_clip_from_the_server_plays_with_sound(browser: Any, url: str, clip_id: str) -> None:
    with Visit(browser, f"{url}clips/{clip_id}") as visit:
        state = play(visit.page, 0)
        assert state["error"] == ""
        assert state["ready"] >= 2
        assert (state["width"], state["height"]) == (64, 64)
        assert state["sound"] > 0
        assert visit.complaints == []


def test_sound_alone_plays(browser: Any, url: str) -> None:
    with Visit(browser, f"{url}clips/{SOUND}") as visit:
        state = visit.page.evaluate(
            """async () => {
                 const audio = document.querySelector("audio");
                 audio.muted = true;
                 await audio.play();
                 for (let wait = 0; wait < 250 && !audio.currentTime; wait += 1)
                   await new Promise((done) => setTimeout(done, 20));
                 return { ready: audio.readyState, seconds: audio.duration, error: audio.error?.message ?? "" };
               }"""
        )
        assert state["error"] == ""
        assert state["ready"] >= 2
        assert state["seconds"] == pytest.approx(1.0, abs=0.1)


def test_a_line_of_speech_plays_from_its_time(browser: Any, url: str) -> None:
    with Visit(browser, f"{url}clips/{KEPT}") as visit:
        visit.page.evaluate("document.querySelector('video').muted = true")
        seconds = visit.page.evaluate(
            """async () => {
                 const video = document.querySelector(".is-main video");
                 const sought = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
                 document.querySelectorAll("[data-seek]")[1].click();
                 await sought;
                 return video.currentTime;
               }"""
        )
        assert seconds >= 0.5
        # The traces and the two speakers have a line each.
        assert visit.page.locator(".is-main .playhead.is-on").count() == 3


def test_from_the_report_to_a_reason_to_a_record_to_its_keeper(browser: Any, url: str) -> None:
    with Visit(browser, url) as visit:
        page = visit.page
        page.get_by_role("link", name="near_duplicate").click()
        assert page.locator(".records tbody tr").count() == 1
        page.get_by_role("link", name=COPY).click()
        assert page.locator("h1").inner_text() == COPY
        page.locator("#duplicates").get_by_role("link", name=KEPT).click()
        assert page.locator("h1").inner_text() == KEPT
        page.get_by_role("link", name="Corpus corpus").click()
        assert page.locator("h1").inner_text() == "corpus"
        page.get_by_role("link", name="Read the verdict").click()
        assert "loud <b>enough</b>" in page.locator("main").inner_text()
        assert visit.complaints == []


def test_records_are_searched_by_keyboard(browser: Any, url: str) -> None:
    with Visit(browser, url) as visit:
        page = visit.page
        page.get_by_label("Search", exact=True).fill("three.mp4")
        page.keyboard.press("Enter")
        page.wait_for_url("**/clips?**words=three.mp4**")
        assert page.locator(".records tbody tr").count() == 1
        page.get_by_label("Search", exact=True).fill("nowhere")
        page.get_by_role("button", name="Show").click()
        assert page.get_by_text("No record matches.").is_visible()


def test_the_place_in_the_source_leads_to_its_other_clips(browser: Any, url: str) -> None:
    with Visit(browser, f"{url}clips/{KEPT}") as visit:
        visit.page.locator("#source svg a").first.focus()
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url(f"**/clips/{COPY}")


def test_the_report_as_a_file_needs_nothing_and_filters_its_records(browser: Any, corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert CliRunner().invoke(main, ["data", "report", str(corpus), "-o", str(file)]).exit_code == 0
    with Visit(browser, file) as visit:
        page = visit.page
        assert [asked for asked in visit.requests if not asked.startswith("data:")] == [file.as_uri()[:100]]
        assert page.locator("#records tbody tr:visible").count() == 3
        page.select_option("#record-reason", "undecodable")
        assert page.locator("#records tbody tr:visible").count() == 1
        assert page.locator("#record-count").inner_text() == "1 of 3 records"
        assert visit.complaints == []


def test_a_clip_as_a_file_plays_with_sound(browser: Any, corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "clip.html"
    assert CliRunner().invoke(main, ["data", "inspect", KEPT, "--dir", str(corpus), "-o", str(file)]).exit_code == 0
    with Visit(browser, file) as visit:
        state = play(visit.page, 0)
        assert state["error"] == ""
        assert state["sound"] > 0
        assert [asked for asked in visit.requests if not asked.startswith("data:")] == [file.as_uri()[:100]]


def test_text_from_outside_does_not_run(browser: Any, tmp_path: Path) -> None:
    names = {"caption": ATTACK, "prompt": ATTACK, "src_path": ATTACK, "licence": ATTACK, "tags": [ATTACK]}
    speech = [{"speaker": ATTACK, "t0_s": 0.0, "t1_s": 1.0, "text": ATTACK}]
    write_tables(tmp_path, [record(KEPT, "one", speech=speech, drop_reason=None, **names)])
    for url in serve(tmp_path):
        for path in ("", "clips", f"clips/{KEPT}"):
            with Visit(browser, url + path) as visit:
                visit.page.wait_for_timeout(100)
                assert visit.page.evaluate("window.attacked") is None
                assert visit.complaints == []
