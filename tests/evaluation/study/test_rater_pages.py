"""The raters' pages escape what they show and load nothing but their own."""

import re

import pytest

from nava.evaluation.study.rater_pages import PairView, RaterPage, done_page, pair_page, start_page

ATTACK = '"><script>window.attacked=1</script>'


def view(**values: object) -> PairView:
    plain: dict[str, object] = {
        "item_id": "0" * 16,
        "prompt": ATTACK,
        "image": True,
        "position": 2,
        "total": 5,
        "answered": 1,
        "choices": {"overall quality": "tie"},
        "criteria": ("overall quality", "audio-visual alignment", ATTACK),
        "here": "/rate/a%2Fb/2",
        "back": "/rate/a%2Fb/1",
        "onward": "/rate/a%2Fb/3",
    }
    return PairView(**(plain | values))  # type: ignore[arg-type]


PAGES = {
    "start": start_page(ATTACK, 5, name=ATTACK, problem=ATTACK),
    "pair": pair_page(ATTACK, ATTACK, view()),
    "done": done_page(ATTACK, ATTACK, 5, "/rate/a/5"),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_what_comes_from_outside_is_escaped(page: RaterPage) -> None:
    assert "<script>window.attacked" not in page.html
    assert page.html.count("&#34;&gt;&lt;script&gt;") >= 2


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_the_policy_lets_nothing_else_load(page: RaterPage) -> None:
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["media-src"] == "data: 'self'"
    assert "unsafe" not in page.policy
    assert "*" not in page.policy
    (inner,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.html)
    assert inner.replace("&#39;", "'") == page.policy.removesuffix("; frame-ancestors 'none'")
    assert not re.findall(r'(?:src|href)="(?!/|data:|#)', page.html)


def test_a_pair_shows_what_is_answered_and_where_one_is() -> None:
    html = pair_page("s", "ann", view()).html
    assert "Pair 2 of 5" in html
    pressed = re.findall(r'data-choice="(\w+)" aria-pressed="true"', html)
    assert pressed == ["tie"]
    assert html.count("disabled>") == 9
    assert 'id="study-next" href="/rate/a%2Fb/3" hidden' in html
    assert 'src="/media/0000000000000000/image"' in html
    whole = dict.fromkeys(view().criteria, "left")
    assert 'href="/rate/a%2Fb/3">Next' in pair_page("s", "ann", view(choices=whole)).html


def test_the_first_pair_has_no_way_back_and_text_alone_no_picture() -> None:
    html = pair_page("s", "ann", view(back="", image=False)).html
    assert "study-back" not in html.split("<body>")[1].split("<script>")[0]
    assert "/image" not in html


def test_without_a_script_there_is_none() -> None:
    assert "<script>" not in PAGES["start"].html
    assert "script-src" not in PAGES["start"].policy
