"""`nava eval sweep`, `sweeps`, `table`: settings compared on the same items and seeds, the paper's ablations."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, InputError

FOLDER = click.Path(path_type=Path, file_okay=False)
PATH = click.Path(path_type=Path)
# What `nava generate` asks for besides.
_DEFAULTS: dict[str, Any] = {"dtype": None, "fp8": False, "offload": 0, "compile_blocks": False}


@click.command("sweeps")
def sweeps() -> None:
    """The sweeps that come with NAVA."""
    from nava.evaluation.sweep.sweep import load_sweep, sweep_names

    for name in sweep_names():
        one = load_sweep(name)
        variants = ", ".join(variant.name for variant in one.variants)
        click.echo(f"{name:24} {one.title}: task {one.task}, {len(one.seeds)} seeds; {variants}")


@click.command("sweep")
@click.argument("sweep_file", metavar="SWEEP")
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder of clips, results and table; run again to go on.")
@click.option("--run-dir", type=PATH, help="Run whose champion generates.")
@click.option("--package", type=PATH, help="Model package to use instead of a run's champion.")
@click.option("--public-key", type=PATH, help="Key that the signature of --package is verified with.")
@click.option("--unsigned", is_flag=True, help="Generate from a package whose signature is not verified.")
@click.option("--weights", help="Where published weights lie that the package refers to.")
@click.option("--data", type=FOLDER, help="Folder of the benchmark's data; the built-in one is made there.")
@click.option("--backends", type=PATH, help="YAML file: where backends have their weights.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes that score.")
@click.option("--min-coverage", default=0.9, show_default=True, type=click.FloatRange(0, 1), help="Clips with a value.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")
def sweep(
    sweep_file: str,
    out: Path,
    data: Path | None,
    backends: Path | None,
    workers: int,
    min_coverage: float,
    **given: Any,
) -> None:
    """Generate and score a benchmark under several sampler settings, and compare them pair by pair.

    SWEEP is a file, or the name of one that comes with NAVA (`nava eval sweeps`). Killed, the same command goes on:
    finished clips and finished variants are kept.

    Exit codes: 0 done, 1 clips could not be made or a figure has too few values, 2 wrong input.
    """
    from nava.console.benchmark_place import benchmark, watch
    from nava.console.generator_options import load_given
    from nava.evaluation.extraction.feature_cache import FeatureCache
    from nava.evaluation.run.backend_file import read_backend_file
    from nava.evaluation.run.score import ScoringSettings
    from nava.evaluation.sweep.generated import GeneratedClips
    from nava.evaluation.sweep.run import run_sweep
    from nava.evaluation.sweep.sweep import load_sweep
    from nava.evaluation.sweep.table import tabulate, write_table

    chosen = load_sweep(sweep_file)
    task, items = benchmark(chosen.task, data)
    items = chosen.items.of(items)
    settings = ScoringSettings(workers=workers, min_coverage=min_coverage)
    cache = FeatureCache(out / "features", read_backend_file(backends) if backends else None)
    counts = {"variants": len(chosen.variants), "items": len(items), "seeds": len(chosen.seeds)}
    product = " x ".join(f"{count} {what}" for what, count in counts.items())
    click.echo(f"{chosen.title}: {product} = {math.prod(counts.values())} clips")
    maker = GeneratedClips(load_given(_DEFAULTS | given), chosen.generate, click.echo)
    cells = run_sweep(chosen, task, items, maker, out, cache, settings, watch, click.echo)
    table = tabulate(chosen, task, items, cells, maker.model, settings)
    write_table(out / "result", table)
    click.echo((out / "result" / "table.md").read_text(encoding="utf-8"))
    click.echo(f"{out / 'result'}: sweep.json, table.md, table.tex")
    if chosen.layout:
        click.echo(f"next: nava eval table guidance {out}")
    sys.exit(EXIT_FAILED if _problems(table) else EXIT_DONE)


def _problems(table: dict[str, Any]) -> bool:
    figures = [figure for variant in table["variants"].values() for figure in variant["figures"].values()]
    return bool(table["failures"]) or any(figure["eligible"] and not figure["covered"] for figure in figures)


@click.command("table")
@click.argument("kind", type=click.Choice(["guidance", "architecture"]))
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--out", "-o", type=FOLDER, help="Folder for KIND.md and KIND.tex; by default the table is printed.")
@click.option("--scored", multiple=True, metavar="VARIANT=FOLDER", help="Architecture: a variant's `nava eval score`.")
@click.option("--latex", "as_latex", is_flag=True, help="Print LaTeX instead of Markdown.")
def table(kind: str, results: tuple[Path, ...], out: Path | None, scored: tuple[str, ...], as_latex: bool) -> None:
    """The paper's ablation tables in its layout: published rows, and what was measured here with intervals.

    RESULTS: for `guidance`, folders of `nava eval sweep`, one for each block of the table; for `architecture`, the
    result of `nava pipeline run ablation`. A metric that was not computed by its paper-grade backend is a dash.
    """
    from nava.evaluation.published.grid import latex, markdown
    from nava.evaluation.sweep.paper_tables import architecture_grids, guidance_grids
    from nava.evaluation.sweep.table import read_table
    from nava.runtime.storage import write_text

    if kind == "guidance":
        if scored:
            raise InputError("--scored belongs to the architecture table; a sweep scores its clips itself")
        grids = guidance_grids([read_table(path) for path in results])
    else:
        if len(results) != 1:
            raise InputError(f"the architecture table is of one ablation, {len(results)} were given")
        grids = architecture_grids(_ablation(results[0]), _scored(scored))
    texts = {".md": "\n".join(map(markdown, grids)), ".tex": "\n".join(map(latex, grids))}
    if out is None:
        click.echo(texts[".tex" if as_latex else ".md"], nl=False)
        return
    for suffix, text in texts.items():
        write_text(out / f"{kind}{suffix}", text)
    click.echo(f"{out}: {kind}.md, {kind}.tex")


def _ablation(path: Path) -> dict[str, Any]:
    """`ablation.json` of the pipeline `ablation`, or a folder with it."""
    from nava.evaluation.ablation import SCHEMA_VERSION, TABLE_FILE
    from nava.runtime.storage import read_json

    file = path / TABLE_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path} holds no {TABLE_FILE}; `nava pipeline run ablation` writes one")
    try:
        value: dict[str, Any] = read_json(file)
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("schema_version") != SCHEMA_VERSION or "variants" not in value:
        raise InputError(f"{file} is no table of an ablation of schema version {SCHEMA_VERSION}")
    return value


def _scored(entries: Iterable[str]) -> dict[str, dict[str, Any]]:
    from nava.evaluation.run.records import read_summary

    found = {}
    for entry in entries:
        variant, equals, folder = entry.partition("=")
        if not equals:
            raise InputError(f"--scored {entry!r}: write VARIANT=FOLDER, such as hal_only=results/hal_only/result")
        found[variant] = read_summary(Path(folder))
    return found


SWEEP_COMMANDS = (sweep, sweeps, table)
