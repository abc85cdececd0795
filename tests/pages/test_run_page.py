"""The page of a run: everything that happened is on it, nothing that came from outside can act on it."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nava.pages.run_facts import (
    ClipFacts,
    Command,
    Failure,
    GateFacts,
    Record,
    RunPage,
    SourceFacts,
    Statement,
    StepFacts,
)
from nava.pages.run_page import render_run_page, write_run_page
from tests.pages.sample_run_page import ATTACK, encode_clip, metric, refused_page, rich_page, steps


class Elements(HTMLParser):
    """Start tags with their attributes, ids, and text outside script and style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._silent = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> RunPage:
    return rich_page(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def html(rich: RunPage) -> str:
    return render_run_page(rich)


def bare(**changes: object) -> RunPage:
    return replace(RunPage("test", "succeeded", "2031-01-01"), **changes)  # type: ignore[arg-type]


def test_every_section_shows_its_facts(html: str) -> None:
    text = " ".join(Elements(html).text.split())
    for expected in (
        "succeeded",
        "8 min 07 s",
        "with uncommitted changes",
        "nava-test version 3 is the champion",
        "880 records from 160 files",
        "near_duplicate",
        "28.80 dB",
        "1.330 → 1.000",
        "A blue bar on the left flashes",
        "seed 1",
        "[0.51, 0.59]",
        "untrained model",
        "shuffled audio",
        "guidance off",
        "Colour follows the prompt",
        "the ball is usually not visible",
        "needs at least 1,024 clips",
        "not applicable",
        "there is no champion yet",
        "verified",
        "policy auto",
        "served over HTTP",
        "learning_rate",
        "nava serve --run runs/test --port 3000",
        "mlflow ui",
    ):
        assert expected in text, expected


def test_the_page_is_one_file_of_sensible_size(html: str) -> None:
    assert len(html.encode()) < 8_000_000
    for tag, attributes in Elements(html).tags:
        for name in ("src", "poster", "href", "data", "srcset", "action"):
            value = attributes.get(name) or ""
            if name == "href" and tag == "a":
                continue
            assert not value or value.startswith(("data:", "#")), (tag, name, value[:80])
    assert "url(" not in re.sub(r"url\(#arrow-\d\)", "", html)
    assert "@import" not in html


def test_ids_are_unique_and_links_inside_the_page_lead_somewhere(html: str) -> None:
    elements = Elements(html)
    ids = elements.ids()
    assert len(ids) == len(set(ids))
    inside = {a["href"] for tag, a in elements.tags if tag == "a" and (a.get("href") or "").startswith("#")}
    assert {(target or "")[1:] for target in inside} <= set(ids)


def test_pictures_have_alternatives_and_fields_have_labels(html: str) -> None:
    tags = Elements(html).tags
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in tags if tag == "video")
    svgs = [attributes for tag, attributes in tags if tag == "svg" and attributes.get("role") == "img"]
    assert svgs
    assert all(attributes.get("aria-label") for attributes in svgs)


def test_videos_play_with_sound_and_carry_their_poster(html: str) -> None:
    videos = [attributes for tag, attributes in Elements(html).tags if tag == "video"]
    assert len(videos) == 13
    for attributes in videos:
        assert {"controls", "loop", "playsinline"} <= set(attributes)
        assert "muted" not in attributes
        assert (attributes["src"] or "").startswith("data:video/mp4;base64,")
        assert (attributes["poster"] or "").startswith("data:image/jpeg;base64,")


def test_nothing_needs_an_inline_handler_or_style(html: str) -> None:
    for tag, attributes in Elements(html).tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag


def attacked_page(folder: Path) -> RunPage:
    clip = ClipFacts(
        encode_clip(folder / "a.mp4"), ATTACK, ATTACK, family=ATTACK, note=ATTACK, href="javascript:alert(1)"
    )
    record = Record(ATTACK, "dropped", ATTACK, ATTACK, ATTACK, ATTACK)
    failure = Failure(ATTACK, ATTACK, ATTACK, [ATTACK], ATTACK, 1, "javascript:alert(1)")
    gate = GateFacts(
        ATTACK, False, [{"rule": ATTACK, "passed": False, "observed": ATTACK, "offending": [ATTACK]}], "data:x"
    )
    step = StepFacts(ATTACK, "failed", 1.0, error=ATTACK, log_href="javascript:alert(1)", depends_on=[ATTACK + "2"])
    return RunPage(
        run_name=ATTACK,
        state="failed",
        started_at=ATTACK,
        title=ATTACK,
        recipe=ATTACK,
        git_sha=ATTACK,
        steps=[step],
        failure=failure,
        sources=SourceFacts(1, 1, 0, 1, 0, 0, {ATTACK: 1}, [record], {ATTACK: ATTACK}),
        clips=[clip],
        metrics=[metric(ATTACK, ATTACK, 0.5, 0.1, description=ATTACK, reason=ATTACK, protocol=ATTACK, family=ATTACK)],
        statements=[Statement(ATTACK, False)],
        gates=[gate],
        run_record={ATTACK: ATTACK},
        config=ATTACK,
        commands=[Command(ATTACK, ATTACK, ATTACK)],
    )


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    html = render_run_page(attacked_page(tmp_path))
    assert html.count("<script>") == 1
    assert "<img src=x" not in html
    assert "javascript:" not in html
    elements = Elements(html)
    assert elements.text.count(ATTACK) > 15
    for tag, attributes in elements.tags:
        assert not [name for name in attributes if name.startswith("on")], tag


def test_a_refused_run_says_first_which_rule_which_records_and_what_to_do(tmp_path: Path) -> None:
    html = render_run_page(refused_page(tmp_path))
    alarm = html.index("What the gate refused")
    assert alarm < html.index('id="pipeline"')
    top = html[alarm : html.index('id="pipeline"')]
    for expected in (
        "every clip has 24 frames per second",
        "clip-0003",
        "clip-0039",
        "What to do.",
        "Exit code",
        "validate",
    ):
        assert expected in top
    assert "Not reached: the run stopped at step “validate”." in html


def test_a_failed_run_without_a_reason_points_at_the_logs() -> None:
    html = render_run_page(bare(state="failed", steps=steps("curate", "failed")))
    assert "stopped without leaving a reason" in html
    assert "Not reached: the run stopped at step “curate”." in html
    assert 'href="logs/curate.log"' in html


@pytest.mark.parametrize("state", ["running", "succeeded", "gate_failed", "failed"])
def test_a_run_with_nothing_in_it_still_has_a_page(state: str) -> None:
    html = render_run_page(bare(state=state))
    assert html.count('<p class="empty">') >= 8
    assert "None" not in Elements(html).text


def test_a_running_run_says_how_far_it_is() -> None:
    html = render_run_page(bare(state="running", steps=steps("encode", "running")))
    assert "4 of 14 steps are done" in html
    assert "the run is still going" in html


def test_records_that_are_not_accounted_for_are_said_aloud() -> None:
    sources = SourceFacts(files=5, total=10, kept=6, dropped=1, failed=1)
    assert "2 records are not accounted for" in render_run_page(bare(sources=sources))
    assert "not accounted for" not in render_run_page(bare(sources=replace(sources, total=8)))


def test_reasons_are_ranked_by_how_often_they_struck() -> None:
    sources = SourceFacts(9, 9, 0, 9, 0, 0, {"rare": 1, "often": 6, "some": 2})
    text = Elements(render_run_page(bare(sources=sources))).text
    assert text.index("often") < text.index("some") < text.index("rare")


def test_clips_beyond_the_budget_are_linked_instead(tmp_path: Path) -> None:
    path = encode_clip(tmp_path / "a.mp4")
    clip = ClipFacts(path, "a prompt", "guided", href="clips/a b.mp4")
    html = render_run_page(bare(clips=[clip, replace(clip, seed=2)]), clip_bytes=int(path.stat().st_size * 1.5))
    assert html.count("<video") == 1
    assert "Not embedded" in html
    assert 'href="clips/a%20b.mp4"' in html


def test_a_clip_that_is_missing_is_said_not_raised(tmp_path: Path) -> None:
    html = render_run_page(bare(clips=[ClipFacts(tmp_path / "gone.mp4", "a prompt", "guided")]))
    assert "gone.mp4 is missing" in html
    assert "<video" not in html


def test_clips_of_one_prompt_stand_together(html: str) -> None:
    assert html.count("<blockquote>") == 3


def test_the_same_facts_give_the_same_page(rich: RunPage, html: str) -> None:
    assert render_run_page(rich) == html


def test_write_replaces_the_page_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "index.html"
    write_run_page(path, bare(title="First"))
    write_run_page(path, bare(title="Second"))
    assert "<title>Second · NAVA</title>" in path.read_text()
    assert [found.name for found in path.parent.iterdir()] == ["index.html"]


def test_numbers_that_are_not_finite_are_left_out_of_charts(rich: RunPage) -> None:
    lost = replace(rich.stages[0], last_validation_loss=math.nan)
    broken = metric("m", "Metric", math.nan, 0.1)
    html = render_run_page(bare(stages=[lost], metrics=[broken]))
    assert "nan" not in re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.S)
    assert 'class="delta' not in html
