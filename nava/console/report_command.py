"""`nava data inspect`, `report` and `serve-report`: looking at a curated corpus, record by record."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nava.console.data_settings import CURATED, FOLDER

REPORT_DIR = "report"
_CLIPS_DIR = "clips"
_MEDIA_BYTES = 64 << 20  # of the files that one page may carry
_DEFAULT_PORT = 8765


@click.command("inspect")
@click.argument("clip_id")
@click.option("--dir", "folder", required=True, type=FOLDER, help="Folder of the curated or pulled corpus.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Page; by default DIR/report/clips/CLIP_ID.html.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, and write a page only with -o.")
def inspect(clip_id: str, folder: Path, output: Path | None, as_json: bool) -> None:
    """Everything known of one clip: its scores with their thresholds, why it was kept or not, and a page that plays it.

    CLIP_ID may be the beginning of an id, if no other begins so. Exit codes: 0 done, 2 no such clip or folder.
    """
    from nava.console.clip_facts import clip_lines, clip_page, clip_value
    from nava.console.clip_media_links import EmbeddedLinks, page_name
    from nava.console.curated_folder import CuratedFolder
    from nava.pages.clip_page import render_clip_page
    from nava.pages.media import EmbedBudget
    from nava.runtime.storage import write_text

    corpus = CuratedFolder(folder)
    whole_id = corpus.find(clip_id)
    target = output or (None if as_json else corpus.path / REPORT_DIR / _CLIPS_DIR / page_name(whole_id))
    page = clip_page(corpus, whole_id, EmbeddedLinks(EmbedBudget(_MEDIA_BYTES), target.parent if target else None))
    if target is not None:
        write_text(target, render_clip_page(page))
    if as_json:
        click.echo(json.dumps(clip_value(corpus, whole_id), indent=2, ensure_ascii=False))
        return
    for line in clip_lines(page):
        click.echo(line)
    click.echo(f"\n{target}: the same with a player")


@click.command("report")
@CURATED
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Page; by default FOLDER/report/index.html.")
@click.option("--thumbnails", default=24, show_default=True, type=click.IntRange(0), help="Kept clips to show.")
@click.option("--records", default=500, show_default=True, type=click.IntRange(0), help="Records not kept to list.")
def report(folder: Path, output: Path | None, thumbnails: int, records: int) -> None:
    """Write the report on a curated FOLDER as one page that needs nothing else, to be sent or kept."""
    from nava.console.clip_media_links import EmbeddedLinks
    from nava.console.corpus_facts import ReportSize, corpus_report
    from nava.console.curated_folder import CuratedFolder
    from nava.pages.corpus_report_page import render_corpus_report
    from nava.pages.media import EmbedBudget
    from nava.runtime.storage import write_text

    corpus = CuratedFolder(folder)
    target = output or corpus.path / REPORT_DIR / "index.html"
    links = EmbeddedLinks(EmbedBudget(_MEDIA_BYTES))
    write_text(target, render_corpus_report(corpus_report(corpus, links, ReportSize(thumbnails, records))))
    click.echo(f"{target}: accounts, stages, scores and records on one page")


@click.command("serve-report")
@CURATED
@click.option(
    "--port", default=_DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than this machine's own see all media.",
)
def serve_report(folder: Path, port: int, host: str) -> None:
    """Serve the report on a curated FOLDER, read-only, with every record and its player. Ctrl-C ends it.

    Exit codes: 0 ended, 2 no such folder, or the address is taken.
    """
    from nava.console.report_server import ReportServer

    with ReportServer(folder, host, port) as server:
        click.echo(f"{server.url}: the report on {folder}; Ctrl-C ends it")
        if not server.loopback:
            click.echo(f"everybody who reaches {host} sees all media of this corpus", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended")


COMMANDS = (inspect, report, serve_report)
