"""The page a run ends on: what went in, what came out, and why to believe it. One self-contained HTML file."""

from dataclasses import replace
from pathlib import Path

from nava.pages import run_sections as sections
from nava.pages.dag import dag_svg, step_words
from nava.pages.media import EmbedBudget
from nava.pages.run_facts import RunPage
from nava.pages.shell import render
from nava.pages.verdict_page import complete_rules
from nava.runtime.storage import write_text

__all__ = ["RunPage", "render_run_page", "write_run_page"]

_STATE_WORDS = {"running": "running", "succeeded": "succeeded", "gate_failed": "gate failed", "failed": "failed"}
_CLIP_BYTES = 6_000_000
_THUMBNAIL_BYTES = 1_500_000


def render_run_page(page: RunPage, *, clip_bytes: int = _CLIP_BYTES, thumbnail_bytes: int = _THUMBNAIL_BYTES) -> str:
    """Render the page of a run.

    Args:
        page: what happened; a section without facts says why it is empty.
        clip_bytes: how much of the page clips may take, as base64 text; those beyond are linked instead.
        thumbnail_bytes: the same for thumbnails, beyond which records go without.

    Returns:
        HTML text that refers to nothing outside itself but the links a reader may follow.
    """
    clips, thumbnails = EmbedBudget(clip_bytes), EmbedBudget(thumbnail_bytes)
    served = page.serve_check.clip if page.serve_check else None
    return render(
        "run_page.html.j2",
        script=True,
        title=page.title or f"Run {page.run_name}",
        page=page,
        state_words=_STATE_WORDS[page.state],
        absence=sections.absence(page),
        headline=sections.headline(page),
        tiles=sections.tiles(page),
        dag_wide=dag_svg(page.steps, columns=5),
        dag_narrow=dag_svg(page.steps, columns=2, node_width=158.0, column_gap=22.0),
        step_words=step_words,
        source_bar=sections.source_bar(page.sources) if page.sources else "",
        unaccounted=sections.unaccounted(page.sources) if page.sources else 0,
        reasons=sections.reason_rows(page.sources.reasons) if page.sources else [],
        records=sections.record_rows(page.sources.records, thumbnails) if page.sources else [],
        share_rows=sections.share_rows,
        stages=[sections.stage_view(stage) for stage in page.stages],
        groups=sections.player_groups(page.clips, clips),
        served=sections.player(served, clips) if served else None,
        metrics=[sections.metric_view(metric) for metric in page.metrics],
        guidance=[sections.metric_view(metric) for metric in page.guidance],
        text_control=[sections.metric_view(metric) for metric in page.text_control],
        gates=[replace(gate, rules=complete_rules(gate.rules)) for gate in page.gates],
        not_learned=[statement for statement in page.statements if statement.learned is False],
        learned=[statement for statement in page.statements if statement.learned is True],
        not_measured=[statement for statement in page.statements if statement.learned is None],
        record_text=sections.as_text(page.run_record) if page.run_record else "",
        config_text=sections.as_text(page.config) if page.config else "",
    )


def write_run_page(path: Path, page: RunPage) -> None:
    """Render the page and write it atomically, so that a page being looked at is never half a page."""
    write_text(path, render_run_page(page))
