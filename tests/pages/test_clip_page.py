"""The page of a clip says all that is known, plays what there is, and never lets outside text become markup."""

import re
from dataclasses import replace
from typing import Any

import pytest

from nava.pages.clip_page import (
    ClipPage,
    FileFacts,
    MediaFacts,
    RelatedClip,
    ScoreCheck,
    TagGroup,
    Utterance,
    bound_text,
    render_clip_page,
    score_text,
)
from nava.pages.timeline import Span

ATTACK = "</title><script>window.attacked=1</script><img src=x onerror=alert(1)>\"'&"


def sharp(**changes: Any) -> ScoreCheck:
    known = ScoreCheck("Sharpness", "sharpness", 20.0, "", 3.5, "at least", True, "blurred")
    return replace(known, **({"span": (0.0, 100.0), "usual": (5.0, 60.0), "rank": 0.25} | changes))


def page(**changes: Any) -> ClipPage:
    """A kept clip; `text` says what stands wherever text from outside may stand."""
    text = changes.pop("text", "plain")
    known = ClipPage(
        corpus=text,
        corpus_href="/",
        clip_id="a1" * 12,
        status="kept",
        reason="",
        sentence=f"Kept: {text}",
        also=[],
        media=MediaFacts(video="/clips/a/video", poster="/clips/a/thumbnail", shape="wide"),
        duration_s=2.0,
        caption=text,
        caption_backend="rules.v1",
        caption_model=text,
        prompt=text,
        speech=[Utterance(text, 0.1, 0.9, text), Utterance("Ben", 1.0, 1.5, "")],
        speech_backend="sidecar",
        tags=[TagGroup("Sound", [text], "yamnet (unproven)"), TagGroup("Picture", [], "rules.v1")],
        source={"path": text, "sha256": "0" * 64},
        scenes=[Span(0, 3, text, current=True)],
        clips=[Span(0.5, 2.5, text, "good", "/clips/b")],
        source_end_s=3.0,
        checks=[sharp(), sharp(label=text, note=text, passed=False)],
        scores=[ScoreCheck("Motion", "motion", 3.0)],
        subset_checks=[sharp(reason=text)],
        related=[RelatedClip("b2" * 12, "/clips/b", text, "dropped", 0.987, MediaFacts())],
        related_label=text,
        related_more=3,
        form={"bucket": text},
        files=[FileFacts("Picture and sound", text, "1" * 64, "as hashed")],
        stages={"integrity": "2"},
        made_by={"program": text},
    )
    return replace(known, **changes)


def test_everything_is_there() -> None:
    html = render_clip_page(page(text="zebra"), on_server=True)
    for expected in ("zebra", "by <code>rules.v1</code>", "unproven: never run on real weights", "and 3 more", "0.987"):
        assert expected in html
    assert "as hashed" in html
    assert "1" * 64 in html
    assert "not transcribed" in html
    assert 'data-seek="0.1"' in html
    assert "integrity 2" in html
    assert html.count('<span class="badge is-failed">') == 1


def test_scores_stand_beside_their_thresholds() -> None:
    html = render_clip_page(page())
    row = html[html.index('<code class="muted">sharpness</code>') :]
    row = row[: row.index("</tr>")]
    assert "<strong>20</strong>" in row
    assert "at least 3.5" in row
    assert "blurred" in row
    assert "is-passed" in row
    assert "higher than 25 % of the records" in row
    assert 'class="bound"' in row


def test_a_score_without_a_threshold_has_no_verdict() -> None:
    html = render_clip_page(page())
    row = html[html.index('<code class="muted">motion</code>') :]
    assert "badge" not in row[: row.index("</tr>")]


@pytest.mark.parametrize("on_server", [True, False])
def test_text_from_outside_stays_text(on_server: bool) -> None:
    html = render_clip_page(page(text=ATTACK), on_server=on_server)
    assert "<script>window" not in html
    assert "<img src=x" not in html
    assert len(re.findall(r"<script", html)) == 1


@pytest.mark.parametrize(
    ("media", "there", "gone"),
    [
        (MediaFacts(video="v", poster="p"), ["<video controls"], ["<audio", 'poster="p"']),
        (MediaFacts(sound="s", poster="p"), ["<audio controls"], ["<video"]),
        (MediaFacts(poster="p"), ['<img src="p"'], ["<video", "<audio"]),
        (MediaFacts(note="gone with the wind"), ["no media", "gone with the wind"], ["<video", "<audio", "<img"]),
    ],
)
def test_what_there_is_is_shown(media: MediaFacts, there: list[str], gone: list[str]) -> None:
    html = render_clip_page(page(media=media, related=[], related_more=0))
    body = html[html.index("<main") :]
    assert all(text in body for text in there)
    assert not any(text in body for text in gone)


def test_a_file_that_was_never_cut_says_so_once() -> None:
    nothing = [sharp(value=None, passed=None, note="not measured on this record")]
    html = render_clip_page(
        page(
            status="quarantined",
            checks=nothing,
            scores=[],
            subset_checks=[],
            scenes=[],
            clips=[],
            source_end_s=0.0,
            speech=[],
        )
    )
    assert "Nothing was measured" in html
    assert "no clip was cut from it" in html
    assert "What the filters look at" not in html
    assert 'class="lane"' not in html


def test_further_reasons_are_named() -> None:
    assert "would still not have been kept: too_quiet, blurred" in render_clip_page(page(also=["too_quiet", "blurred"]))
    assert "would still not" not in render_clip_page(page())


def test_a_page_loads_nothing_but_a_server_gives_its_own_media() -> None:
    assert "media-src data:;" in render_clip_page(page())
    assert "media-src data: &#39;self&#39;;" in render_clip_page(page(), on_server=True)


def test_links_lead_only_where_there_is_something() -> None:
    alone = page(corpus_href="", clips=[], related=[RelatedClip("b2" * 12, "", "", "kept", None, MediaFacts())])
    body = render_clip_page(alone)
    assert "/clips/" not in body[body.index("<main") :].replace("/clips/a/video", "").replace("/clips/a/thumbnail", "")


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (0.0123, "av_offset_s", "+0.012"),
        (-0.5, "av_offset_s", "−0.500"),
        (None, "av_offset_s", "–"),
        (20.04, "lufs", "20.0"),
    ],
)
def test_scores_are_written_for_people(value: float | None, column: str, text: str) -> None:
    assert score_text(value, column) == text


def test_bounds_are_written_for_people() -> None:
    assert bound_text(sharp()) == "at least 3.5"
    assert bound_text(ScoreCheck("Offset", "av_offset_s", 0.0, "s", 0.12, "at most")) == "at most ±0.12"
    assert bound_text(ScoreCheck("Motion", "motion", 1.0)) == ""


def test_an_offset_has_a_threshold_on_both_sides() -> None:
    offset = ScoreCheck("Offset", "av_offset_s", 0.0, "s", 0.12, "at most", True, span=(-0.2, 0.2), usual=(-0.1, 0.1))
    html = render_clip_page(page(checks=[offset], scores=[], subset_checks=[]))
    assert html.count('class="bound"') == 2
