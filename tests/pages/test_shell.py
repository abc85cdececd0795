"""The shell: links that cannot run code, ids from any text, and a policy that fits the page it stands in."""

import base64
import hashlib
import re

import pytest

from nava.pages.shell import anchor, content_security_policy, render, safe_href


@pytest.mark.parametrize(
    ("target", "href"),
    [
        ("logs/train stage.log", "logs/train%20stage.log"),
        ("logs/a.log#L3", "logs/a.log#L3"),
        ("https://example.org/x?a=b", "https://example.org/x?a=b"),
        ('a"onmouseover=alert(1).log', "a%22onmouseover=alert(1).log"),
        ("verdicts/größe.html", "verdicts/gr%C3%B6%C3%9Fe.html"),
    ],
)
def test_links_that_stay(target: str, href: str) -> None:
    assert safe_href(target) == href


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "data:text/html,x",
        "//evil.example/x",
        "https:",
        "vbscript:x",
        "1a:b",
        "",
    ],
)
def test_links_that_could_do_harm_are_dropped(target: str) -> None:
    assert safe_href(target) == ""


@pytest.mark.parametrize(
    ("name", "identity"),
    [("train_stage_2", "train-stage-2"), ("Größe <b>", "gr-e-b"), ("", "item"), ("---", "item")],
)
def test_anchors(name: str, identity: str) -> None:
    assert anchor(name) == identity


def hash_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_names_the_hashes_of_what_the_page_really_carries() -> None:
    html = render("verdict.html.j2", script=True, title="t", gate="g", passed=True, rules=[],
                  counts={"passed": 0, "failed": 0, "not_applicable": 0})  # fmt: skip
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    script = re.search(r"<script>(.*?)</script>", html, re.S)
    assert style is not None
    assert script is not None
    assert f"style-src &#39;sha256-{hash_of(style[1])}" in html
    assert f"script-src &#39;sha256-{hash_of(script[1])}" in html


def test_without_a_script_the_policy_allows_none() -> None:
    assert "script-src" not in content_security_policy("body {}", "")
    assert "default-src 'none'" in content_security_policy("body {}", "")


def test_assets_cannot_close_their_own_element() -> None:
    html = render("verdict.html.j2", script=True, title="t", gate="g", passed=True, rules=[],
                  counts={"passed": 0, "failed": 0, "not_applicable": 0})  # fmt: skip
    assert html.count("</script>") == html.count("<script>") == 1
    assert html.count("</style>") == html.count("<style>") == 1


def test_a_page_on_a_server_may_show_its_media_and_search_there_and_no_more() -> None:
    alone, served = content_security_policy("s", "x"), content_security_policy("s", "x", True)
    assert "form-action 'none'; img-src data:; media-src data:;" in alone
    assert "form-action 'self'; img-src data: 'self'; media-src data: 'self';" in served
    assert served.startswith("default-src 'none'; base-uri 'none';")
    assert served.count("'self'") == 3
