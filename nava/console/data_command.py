"""`nava data`: raw media to a versioned corpus, one command per step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from nava.console import corpus_command, report_command
from nava.console.data_settings import CURATED, FOLDER, RECIPE, composed, existing, require_passed, section
from nava.runtime.errors import InputError


@click.group()
def data() -> None:
    """Raw media to a versioned corpus: curate, validate, version, encode, and look at every record."""


@data.command("synthetic")
@click.option("--recipe", default="smoke", show_default=True, help="Whose section `synthetic` says how much.")
@click.option("--seed", default=0, show_default=True)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to fill.")
@click.argument("overrides", nargs=-1)
def synthetic_media(recipe: str, seed: int, output: Path, overrides: tuple[str, ...]) -> None:
    """Generate seeded raw media with their true labels, as the demo does.

    OVERRIDES are settings such as synthetic.videos=20.
    """
    from nava.config.synthetic import SyntheticConfig
    from nava.data.synthetic.generate import generate
    from nava.runtime.progress import Progress

    settings = section(composed(recipe, overrides), SyntheticConfig)
    click.echo(f"{generate(output, settings, seed, Progress())}: media; labels.jsonl beside it")


@data.command("curate")
@click.option("--source", required=True, help="Folder, bucket address, or manifest (CSV, JSONL, parquet) of raw media.")
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder of the corpus; run again to add what is new.")
@RECIPE
@click.option("--executor", type=click.Choice(["local", "ray"]), help="Who runs the stages; by default the recipe's.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes; by default the recipe's.")
@click.option("--licence", default="", help="Licence of the media, carried into every record (SPDX name).")
@click.option("--origin", default="", help="Where the media come from, carried into every record.")
@click.argument("overrides", nargs=-1)
def curate(
    source: str,
    out: Path,
    recipe: str,
    executor: str | None,
    workers: int | None,
    licence: str,
    origin: str,
    overrides: tuple[str, ...],
) -> None:
    """Curate raw media into clips: OUT/clips.parquet has every record with its scores and its reason.

    OVERRIDES are settings such as curation.filters.min_lufs=-45; thresholds may move without measuring again. Exit
    codes: 0 done, 1 failed, 2 wrong input or setting.
    """
    from nava.config.annotation import AnnotationConfig
    from nava.config.curation import CurationConfig
    from nava.config.source import SourceConfig
    from nava.config.speech import SpeechConfig
    from nava.data.curation.curate import Curated
    from nava.data.curation.folder import FolderCuration
    from nava.data.curation.plan import CurationPlan
    from nava.data.curation.step import account_lines
    from nava.runtime.progress import Progress

    settings = [f"source.uri={_quoted(_local(source))}", *overrides]
    settings += [f"source.licence={_quoted(licence)}"] if licence else []
    settings += [f"source.origin={_quoted(origin)}"] if origin else []
    settings += [f"curation.execution.executor={executor}"] if executor else []
    settings += [f"curation.execution.workers={workers}"] if workers else []
    resolved = composed(recipe, settings)
    plan = CurationPlan(
        section(resolved, CurationConfig), section(resolved, SpeechConfig), section(resolved, AnnotationConfig)
    )
    curation = FolderCuration(plan, out.resolve(), Progress(bar=sys.stderr.isatty()), click.echo)
    curated: Curated = curation.run(section(resolved, SourceConfig))
    for line in account_lines(curated.rows):
        click.echo(line)
    click.echo(f"{out}/clips.parquet: every record; next: nava data validate {out}")


@data.command("validate")
@CURATED
@RECIPE
@click.argument("overrides", nargs=-1)
def validate(folder: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """Hold a curated FOLDER against the gates: one suite per stage and the accounts over all tables.

    Writes FOLDER/gate/verdict.html. Exit codes: 0 passed, 2 wrong input, 3 a rule does not hold.
    """
    require_passed(folder, recipe, overrides)


@data.command("encode")
@CURATED
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder of the latent shards.")
@RECIPE
@click.option("--seed", default=0, show_default=True)
@click.argument("overrides", nargs=-1)
def encode(folder: Path, out: Path, recipe: str, seed: int, overrides: tuple[str, ...]) -> None:
    """Encode the kept clips of a curated or pulled FOLDER into latent shards, once, ahead of training."""
    from nava.config.conditioning import ConditioningConfig
    from nava.config.encoding import EncodingConfig
    from nava.config.latents import LatentsConfig
    from nava.data.encoding import Encoding, encode_clips
    from nava.runtime.progress import Progress

    resolved = composed(recipe, overrides)
    sections = (section(resolved, schema) for schema in (LatentsConfig, ConditioningConfig, EncodingConfig))
    latents, conditioning, config = sections
    progress = Progress(bar=sys.stderr.isatty())
    encoding = Encoding(latents, conditioning, config, seed, progress, click.echo)  # type: ignore[arg-type]
    facts = encode_clips(existing(folder, "clips.parquet"), out.resolve(), encoding)
    click.echo(f"{out}: {facts['clips']} clips in {facts['shards']} shards, {facts['by_split']}")


@data.command("export")
@click.argument("shards", type=FOLDER)
@click.option("--out", "-o", required=True, type=FOLDER)
@click.option("--split", type=click.Choice(["train", "heldout"]), help="Only one split.")
def export(shards: Path, out: Path, split: str | None) -> None:
    """Export latent SHARDS as WebDataset tar files."""
    from nava.data.loader.webdataset import export_webdataset
    from nava.data.shards import LatentShards

    tars = export_webdataset(LatentShards(existing(shards, "index.parquet")), out, split)
    click.echo(f"{out}: {len(tars)} tar files")


def _local(source: str) -> str:
    """A local path made absolute; a bucket's address as it is."""
    if "://" in source:
        return source
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"source {source} does not exist; give a folder, a bucket address or a manifest file")
    return str(path.resolve())


def _quoted(value: Any) -> str:
    """A value that Hydra's grammar takes as one string, whatever is in it."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


for command in (*corpus_command.COMMANDS, *report_command.COMMANDS):
    data.add_command(command)
