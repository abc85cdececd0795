"""`nava data version`, `versions`, `diff`, `pull` and `forget`: corpus repositories on git and DVC."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from nava.console.data_settings import CURATED, FOLDER, RECIPE, composed, existing, require_passed, section

Command = TypeVar("Command", bound=Callable[..., Any])
REPOSITORY = click.option("--repository", required=True, type=FOLDER, help="Folder of the corpus repository.")
_REMOTE_URL = click.option("--remote-url", default="", help="Where the shards lie, if not where the repository says.")
_ENDPOINT = click.option("--remote-endpoint-url", default="", help="S3 service of the remote, if it is not Amazon's.")


def remote(command: Command) -> Command:
    """The options of a command that reads a remote."""
    return _REMOTE_URL(_ENDPOINT(command))


@click.command("version")
@CURATED
@REPOSITORY
@RECIPE
@click.argument("overrides", nargs=-1)
def version(folder: Path, repository: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """Make the kept clips of a curated FOLDER a version of a corpus repository (git + DVC), if the gates let them pass.

    The remote is a setting: corpus.remote_url=s3://bucket/prefix, corpus.remote_endpoint_url=...
    """
    from nava.config.corpus import CorpusConfig
    from nava.data.corpus.repository import publish
    from nava.data.curation.publish import RECORD_FILE
    from nava.runtime.storage import read_json

    require_passed(folder, recipe, overrides)
    config = section(composed(recipe, overrides), CorpusConfig)
    curated_with = str(read_json(folder / RECORD_FILE).get("config_sha256", ""))
    made = publish(repository, folder, config, recipe=recipe, config_sha256=curated_with)
    parent = f", after {made.parent}" if made.parent else ""
    click.echo(f"{made.version}{parent}: {made.counts['kept']} clips, content {made.content_sha256[:12]}")
    if made.forgotten:
        click.echo(f"left out, as asked to forget: {', '.join(made.forgotten)}")
    if made.parent:
        click.echo(f"what changed: nava data diff --repository {repository}")


@click.command("versions")
@REPOSITORY
def versions(repository: Path) -> None:
    """The versions of a corpus repository, oldest first, as JSON lines."""
    from nava.config.corpus import CorpusConfig
    from nava.data.corpus.repository import CorpusRepository

    for one in CorpusRepository(existing(repository), CorpusConfig()).versions():
        click.echo(json.dumps(asdict(one), ensure_ascii=False, sort_keys=True))


@click.command("diff")
@click.option("--repository", required=True, help="Folder of a corpus repository, or anything git clones from.")
@click.argument("old", required=False, default="")
@click.argument("new", required=False, default="")
@click.option("--output", "-o", default="corpus-diff", show_default=True, type=FOLDER)
@remote
def diff(repository: str, old: str, new: str, output: Path, remote_url: str, remote_endpoint_url: str) -> None:
    """What was added, changed and removed between versions OLD and NEW, and how the distributions moved.

    Without versions: the newest against its parent. Writes diff.json and diff.html.
    """
    from nava.data.corpus.diff import diff as compare

    found = compare(repository, old, new, remote_url=remote_url, remote_endpoint_url=remote_endpoint_url)
    page = found.write(output)
    counts = f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed"
    click.echo(f"{found.old.version} to {found.new.version}: {counts}, {found.unchanged} unchanged")
    click.echo(f"{page}: clip by clip, with the distributions")


@click.command("pull")
@click.option("--repository", required=True, help="Folder of a corpus repository, or anything git clones from.")
@click.option("--version", "tag", default="", help="A tag such as v2, or a commit; by default the newest.")
@click.option("--out", "-o", required=True, type=FOLDER)
@click.option("--manifest-only", is_flag=True, help="clips.parquet without the media.")
@click.option("--source", "sources", multiple=True, help="Only the clips of this source (src-...); may be repeated.")
@remote
def pull(
    repository: str,
    tag: str,
    out: Path,
    manifest_only: bool,
    sources: tuple[str, ...],
    remote_url: str,
    remote_endpoint_url: str,
) -> None:
    """Bring a version, or a part of it, into a folder and check every hash. Needs no clone and no working copy."""
    from nava.data.corpus.pull import pull as fetch

    come = fetch(
        repository,
        tag,
        out,
        manifest_only=manifest_only,
        sources=sources or None,
        remote_url=remote_url,
        remote_endpoint_url=remote_endpoint_url,
    )
    click.echo(f"{come.version.version}: {come.clips} clips, {come.files} media files, {come.bytes} bytes in {out}")


@click.command("forget")
@click.argument("source")
@REPOSITORY
@click.option("--reason", required=True, help="Why; recorded in the version and in the forget list.")
@click.option("--run-dir", type=FOLDER, help="Run folder whose shards, checkpoints and models are looked through too.")
@click.option("--dry-run", is_flag=True, help="Only report what contains it.")
@click.option("--purge", is_flag=True, help="Also delete the bytes of old versions from the remote and the cache.")
@click.option("--yes", is_flag=True, help="Do not ask before a purge.")
def forget(
    source: str, repository: Path, reason: str, run_dir: Path | None, dry_run: bool, purge: bool, yes: bool
) -> None:
    """What contains SOURCE (clips, shards, checkpoints, model versions), and a new version without it.

    SOURCE is src-..., a sha256, a path, or origin:NAME, licence:NAME, path:PATTERN. The report is JSON.
    """
    from nava.config.corpus import CorpusConfig
    from nava.data.corpus.forget import forget as leave_out
    from nava.registry.corpus_lineage import trace_clips

    if purge and not dry_run and not yes:
        click.confirm(f"This deletes what old versions hold of {source} for good. Go on?", abort=True)
    report = leave_out(existing(repository), source, reason, CorpusConfig(), dry_run=dry_run, purge=purge)
    value = report.to_dict()
    if run_dir is not None:
        value["lineage"] = asdict(trace_clips(run_dir, report.clips, report.contents))
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=sorted))


COMMANDS = (version, versions, diff, pull, forget)
