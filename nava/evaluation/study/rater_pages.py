"""The pages that raters see. They are given no model, no file and no kind of item: what is not here cannot leak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from nava.evaluation.study.study_file import ALIGNMENT, OVERALL
from nava.pages.shell import STYLE_FILE, content_security_policy, render

QUESTIONS = {
    OVERALL: "Which clip is better overall?",
    ALIGNMENT: "In which clip do sound and picture fit together better?",
}


@dataclass(frozen=True)
class PairView:
    """What is shown of an item.

    Attributes:
        item_id: under which its clips and picture are asked for.
        image: whether there is a given first frame.
        position: from 1, in this rater's order of `total`.
        answered: how many items are answered whole, counted from the first.
        choices: what this rater has answered already, by criterion.
        here, back, onward: addresses of this page, of the item before (empty at the first) and of the one after.
    """

    item_id: str
    prompt: str
    image: bool
    position: int
    total: int
    answered: int
    choices: Mapping[str, str]
    criteria: tuple[str, ...]
    here: str
    back: str
    onward: str


@dataclass(frozen=True)
class RaterPage:
    """A page and the policy that its server sends with it."""

    html: str
    policy: str


def start_page(study_id: str, total: int, *, name: str = "", problem: str = "") -> RaterPage:
    """Where a rater says who they are; `problem` tells what was wrong with the name they gave."""
    return _page("study_start.html.j2", title=study_id, study_id=study_id, total=total, name=name, problem=problem)


def pair_page(study_id: str, rater: str, view: PairView) -> RaterPage:
    """Two clips and the questions."""
    questions = [(name, QUESTIONS.get(name, f"Which clip is better: {name}?")) for name in view.criteria]
    return _page(
        "study_pair.html.j2",
        title=f"Pair {view.position} of {view.total}",
        script=_asset("study.js"),
        study_id=study_id,
        rater=rater,
        view=view,
        questions=questions,
    )


def done_page(study_id: str, rater: str, total: int, back: str) -> RaterPage:
    """The end."""
    return _page("study_done.html.j2", title="Thank you", study_id=study_id, rater=rater, total=total, back=back)


def _page(template: str, *, script: str = "", **context: Any) -> RaterPage:
    style = _asset(STYLE_FILE) + _asset("study.css")
    # An answer is sent to this server while the clips stay where they are; nothing may go elsewhere.
    policy = content_security_policy(style, script, on_server=True) + "; connect-src 'self'"
    own: dict[str, Any] = {"rater_style": style, "rater_script": script, "rater_policy": policy}
    return RaterPage(render(template, on_server=True, **own, **context), f"{policy}; frame-ancestors 'none'")


def _asset(name: str) -> str:
    return (files("nava.pages") / "templates" / name).read_text(encoding="utf-8")
