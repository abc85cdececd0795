"""`nava eval metrics` and `nava eval doctor`: what metrics there are, and whether they notice what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, InputError

if TYPE_CHECKING:
    from nava.evaluation.catalogue.manifest import Backend, MetricManifest
    from nava.evaluation.doctor.diagnose import Finding

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("metrics")
@click.option("--task", "task_name", help="Only those of a task.")
@click.option("--markdown", is_flag=True, help="As the table of docs/metrics.md.")
@click.argument("names", nargs=-1)
def metrics(task_name: str | None, markdown: bool, names: tuple[str, ...]) -> None:
    """The metrics that there are, or all that is known of those NAMES: protocol, backends, what they notice."""
    from nava.evaluation.benchmark.task import load_task
    from nava.evaluation.catalogue.manifest import catalogue
    from nava.evaluation.catalogue.table import metric_table

    known = catalogue()
    if unknown := set(names) - set(known):
        raise InputError(f"there is no metric {', '.join(sorted(unknown))}; `nava eval metrics` lists them")
    wanted = names or ([routing.metric for routing in load_task(task_name).metrics] if task_name else list(known))
    if markdown:
        click.echo(metric_table([known[name] for name in wanted]), nl=False)
        return
    for name in wanted:
        click.echo("\n".join(_described(known[name], whole=bool(names))))


def _described(manifest: MetricManifest, *, whole: bool) -> list[str]:
    if not whole:
        reading = f"{manifest.label} ({manifest.unit}, {manifest.direction} is better)"
        return [f"{manifest.metric_id:26} {reading}: {', '.join(_named(backend) for backend in manifest.backends)}"]
    return [
        f"{manifest.metric_id}: {manifest.label}",
        f"  {manifest.about}",
        f"  protocol {manifest.protocol}; {manifest.level} level; unit {manifest.unit}; {manifest.direction} is better",
        f"  needs {', '.join(manifest.needs)}; from {manifest.citation}",
        f"  notices {', '.join(manifest.sensitive_to) or 'nothing that is tested'}",
        f"  does not notice {', '.join(manifest.insensitive_to) or 'nothing that is tested'}",
        *(line for backend in manifest.backends for line in _backend_lines(manifest, backend)),
    ]


def _backend_lines(manifest: MetricManifest, backend: Backend) -> list[str]:
    from nava.evaluation.catalogue.discrimination import discrimination

    seen = discrimination().get(manifest.column(backend.backend), ())
    own = f"  {_named(backend)}: {backend.licence}. {backend.about}".rstrip()
    return [own, *(f"    {entry.sentence}" for entry in seen)]


def _named(backend: Backend) -> str:
    return f"{backend.backend} ({backend.tier}{'' if backend.proven else ', unproven'})"


@click.command("doctor")
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder for spoilt clips and findings.json.")
@click.option("--data", type=FOLDER, help="Folder of the built-in benchmark; it is made there.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1))
@click.option(
    "--record", "recording", is_flag=True, help="Write what was told apart into the manifests: for developers."
)
def doctor(out: Path, data: Path | None, workers: int, recording: bool) -> None:
    """Check every scorer by cases with known answers, then spoil clips in known ways and see what each metric notices.

    Exit codes: 0 all as the manifests say, 1 a metric did not notice, or noticed what it should not.
    """
    from nava.console.benchmark_place import benchmark_place, watch
    from nava.evaluation.benchmark.builtin import make_builtin
    from nava.evaluation.benchmark.task import load_task
    from nava.evaluation.catalogue.discrimination import record
    from nava.evaluation.doctor.closed_forms import closed_forms
    from nava.evaluation.doctor.diagnose import diagnose
    from nava.evaluation.doctor.findings_file import write_findings
    from nava.evaluation.run.score import ScoringSettings

    cases = closed_forms()
    for case in cases:
        if not case.held:
            click.echo(f"{case.name}: {case.found}, must be {case.expected:g}")
    click.echo(f"{sum(case.held for case in cases)} of {len(cases)} cases with known answers are right")
    benchmark = make_builtin(benchmark_place("builtin", data))
    findings = diagnose(benchmark, load_task("builtin"), out, ScoringSettings(workers=workers), watch)
    write_findings(out / "findings.json", cases, findings)
    for finding in findings:
        click.echo(_found(finding))
    wrong = [finding for finding in findings if finding.held is not True]
    click.echo(f"{len(findings) - len(wrong)} of {len(findings)} are as the manifests say; {out / 'findings.json'}")
    if recording:
        record(findings)
    sys.exit(EXIT_DONE if all(case.held for case in cases) and not wrong else EXIT_FAILED)


def _found(finding: Finding) -> str:
    held = {True: "as said", False: "NOT as said", None: "not seen"}[finding.held]
    surely = (
        "" if finding.auroc is None else (f", AUROC {finding.auroc:.2f} [{finding.ci_low:.2f}, {finding.ci_high:.2f}]")
    )
    what = f"{finding.column:40} {finding.perturbation:20} {finding.expected:6}"
    return f"{what} {held}{surely} {finding.reason}".rstrip()
