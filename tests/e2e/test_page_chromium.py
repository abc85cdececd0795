"""The page in a real browser: it runs without errors, asks nothing of the network, and its clips play with sound."""

from pathlib import Path
from typing import Any

import pytest

from nava.pages.ablation_page import render_ablation
from nava.pages.run_page import write_run_page
from nava.pages.verdict_page import render_verdict
from tests.e2e.visit import PHONE, Visit, play
from tests.pages.sample_run_page import refused_page, rich_page
from tests.pages.test_ablation_page import SPEED, table_of
from tests.pages.test_run_page import attacked_page

# WCAG 2.2 contrast of each element that holds text, against the first opaque background behind it.
CONTRAST = """() => {
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const apart = "svg, video, [hidden], .screen, .visually-hidden";
  const bad = [];
  for (const element of document.querySelectorAll("main *, nav *")) {
    if (element.closest(apart) || !element.getClientRects().length) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    let behind = element;
    while (behind && (colour(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 1) behind = behind.parentElement;
    const back = luminance(colour(getComputedStyle(behind ?? document.body).backgroundColor));
    const fore = luminance(colour(getComputedStyle(element).color));
    const ratio = (Math.max(back, fore) + 0.05) / (Math.min(back, fore) + 0.05);
    const words = element.textContent.trim().slice(0, 30);
    if (ratio < 4.5) bad.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${words}`);
  }
  return bad;
}"""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    pages = {"rich": rich_page(folder), "refused": refused_page(folder), "attacked": attacked_page(folder)}
    for name, page in pages.items():
        write_run_page(folder / f"{name}.html", page)
    rules = [{"rule": "ids are unique", "passed": False, "observed": 2, "expected": 0, "offending": ["a", "b"]}]
    (folder / "verdict.html").write_text(render_verdict("validate", False, rules))
    (folder / "ablation.html").write_text(render_ablation(table_of(), SPEED))
    return {path.stem: path for path in folder.glob("*.html")}


@pytest.mark.parametrize("name", ["rich", "refused", "attacked", "verdict", "ablation"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_errors_and_nothing_leaves_the_machine(browser: Any, files: dict[str, Path], name: str, scheme: str) -> None:
    with Visit(browser, files[name], color_scheme=scheme) as visit:
        visit.page.wait_for_timeout(100)
        assert visit.complaints == []
        assert [url for url in visit.requests if not url.startswith(("file://", "data:"))] == []
        assert [url for url in visit.requests if url.startswith("file://")] == [files[name].as_uri()[:100]]


def test_every_clip_decodes_and_sounds(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"]) as visit:
        videos = visit.page.locator("video")
        assert videos.count() == 13
        found = [play(visit.page, index) for index in range(videos.count())]
        for state in found:
            assert state["error"] == ""
            assert state["ready"] >= 2
            assert (state["width"], state["height"]) == (64, 64)
            assert state["sound"] > 0
        assert visit.complaints == []


def test_one_clip_sounds_at_a_time(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"]) as visit:
        playing = visit.page.evaluate(
            """async () => {
                 const videos = [...document.querySelectorAll("video")].slice(0, 2);
                 for (const video of videos) { video.muted = true; await video.play(); }
                 await new Promise((done) => setTimeout(done, 100));
                 return [...document.querySelectorAll("video")].map((video) => !video.paused);
               }"""
        )
        assert playing.index(True) == 1
        assert sum(playing) == 1
        assert visit.page.locator(".playhead.is-on").count() == 2


def test_records_are_filtered_by_words_and_reason(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"]) as visit:
        page = visit.page
        rows = page.locator("#records tbody tr:visible")
        count = page.locator("#record-count")
        assert rows.count() == 240
        page.select_option("#record-reason", "near_duplicate")
        assert rows.count() == 40
        assert count.inner_text() == "40 of 240 records"
        page.fill("#record-search", "SHOW rec-0002")
        assert rows.count() == 1
        page.fill("#record-search", "no such record")
        assert rows.count() == 0
        assert page.locator("#records-none").is_visible()
        page.fill("#record-search", "")
        page.select_option("#record-reason", "")
        assert rows.count() == 240
        assert not page.locator("#records-none").is_visible()


def test_a_step_opens_its_details_by_mouse_keyboard_and_link(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"]) as visit:
        page = visit.page
        shown = page.locator(".step-detail:visible h3")
        assert shown.count() == 0
        page.locator(".dag-wide [data-step=evaluate]").click()
        assert shown.all_inner_texts() == ["evaluate"]
        page.locator(".dag-wide [data-step=gate]").focus()
        page.keyboard.press("Enter")
        assert shown.all_inner_texts() == ["gate"]
        assert page.locator(".dag-wide .is-needed").get_attribute("data-step") == "evaluate"
    with Visit(browser, files["refused"]) as visit:
        visit.page.locator(".alarm a[href='#step-validate']").click()
        assert visit.page.locator(".step-detail:visible h3").all_inner_texts() == ["validate"]


def test_a_chart_reads_out_its_values(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"]) as visit:
        page = visit.page
        figure = page.locator(".chart").nth(1)
        read_out = figure.locator(".read-out")
        assert not read_out.is_visible()
        figure.locator("svg.plot").hover()
        assert read_out.is_visible()
        assert read_out.inner_text().startswith("training step ")
        for label in ("video train", "video validation", "audio train", "audio validation"):
            assert label in read_out.inner_text()
        page.mouse.move(1, 1)
        assert not read_out.is_visible()
        figure.focus()
        page.keyboard.press("ArrowRight")
        first = read_out.inner_text()
        page.keyboard.press("ArrowRight")
        assert read_out.inner_text() != first


def test_a_command_is_copied(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"], permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.page.locator(".copy").first.click()
        visit.page.wait_for_function("document.getElementById('copied').textContent === 'Copied'")
        assert visit.page.evaluate("navigator.clipboard.readText()") == "nava serve --run runs/test --port 3000"


@pytest.mark.parametrize("name", ["rich", "refused", "attacked", "verdict", "ablation"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, files: dict[str, Path], name: str) -> None:
    with Visit(browser, files[name], viewport=PHONE) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert visit.page.locator("h1").is_visible()
        if name == "rich":
            assert visit.page.locator(".dag-narrow").is_visible()
            assert not visit.page.locator(".dag-wide").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["rich", "refused", "verdict", "ablation"])
def test_text_has_enough_contrast(browser: Any, files: dict[str, Path], name: str, scheme: str) -> None:
    with Visit(browser, files[name], color_scheme=scheme) as visit:
        if name == "rich":
            visit.page.locator(".dag-wide [data-step=evaluate]").click()
        assert visit.page.evaluate(CONTRAST) == []


def test_text_from_outside_does_not_run(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["attacked"]) as visit:
        visit.page.locator(".dag-wide .node").first.click()
        visit.page.wait_for_timeout(100)
        assert visit.page.evaluate("window.attacked") is None


def test_the_policy_stops_what_escaping_might_miss(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"]) as visit:
        visit.page.evaluate(
            """() => {
                 const script = document.createElement("script");
                 script.textContent = "window.attacked = 1";
                 document.body.append(script);
                 const image = document.createElement("img");
                 image.src = "https://example.invalid/x.png";
                 document.body.append(image);
               }"""
        )
        visit.page.wait_for_timeout(100)
        assert visit.page.evaluate("window.attacked") is None
        assert visit.refused == ["csp https://example.invalid/x.png"]
        assert any("Content Security Policy" in complaint for complaint in visit.complaints)


def test_it_works_without_its_script(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["rich"], java_script_enabled=False) as visit:
        visit.page.locator(".dag-wide [data-step=evaluate]").click()
        assert visit.page.locator("#step-evaluate").is_visible()
        assert visit.page.locator("#records tbody tr").count() == 240
