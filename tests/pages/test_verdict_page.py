"""The verdict page says which rules failed and which records, and never lets outside text become markup."""

from typing import Any

import pytest

from nava.pages.verdict_page import render_verdict


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "rule": "duration lies between 1 s and 60 s",
        "passed": True,
        "observed": 2.04,
        "expected": "1..60",
    } | changes


def test_failed_rules_come_first_with_their_records() -> None:
    rules = [
        rule(rule="held one"),
        rule(rule="broken one", passed=False, observed=0.25, offending=["clip-7", "clip-9"]),
    ]
    html = render_verdict("validate", False, rules)
    assert html.index("broken one") < html.index("held one")
    assert "clip-7" in html
    assert "clip-9" in html
    assert "0.25" in html
    assert "1 passed, 1 failed, 0 not applicable" in html
    assert "was not run" in html


def test_a_passed_gate_does_not_speak_of_blocking() -> None:
    html = render_verdict("validate", True, [rule()])
    assert "was not run" not in html
    assert 'class="badge is-passed"' in html


def test_a_rule_that_did_not_apply_says_why() -> None:
    html = render_verdict("validate", True, [rule(passed=None, observed=None, expected=None, note="no champion yet")])
    assert "not applicable" in html
    assert "no champion yet" in html
    assert "<dt>observed</dt>" not in html


def test_many_offending_records_fold_but_are_all_listed() -> None:
    ids = [f"clip-{index:03d}" for index in range(400)]
    html = render_verdict("validate", False, [rule(passed=False, offending=ids)])
    assert "<summary>and 394 more</summary>" in html
    assert all(identity in html for identity in ids)


def test_optional_keys_may_be_absent() -> None:
    html = render_verdict("gate", True, [{"rule": "only this", "passed": True}])
    assert "only this" in html


def test_no_rules_is_said() -> None:
    assert "had no rules" in render_verdict("gate", True, [])


@pytest.mark.parametrize("field", ["rule", "observed", "expected", "note"])
def test_outside_text_is_escaped(field: str) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    html = render_verdict("g<b>", False, [rule(passed=False, **{field: attack}, offending=["<i>id</i>"])], title="<u>t")
    for markup in ("<script>alert", "<img", "<i>id", "<b>", "<u>"):
        assert markup not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;i&gt;id&lt;/i&gt;" in html


def test_the_page_may_load_nothing() -> None:
    html = render_verdict("gate", True, [rule()])
    assert "default-src &#39;none&#39;" in html
    assert "script-src" not in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
