"""`nava eval gate`: promotion rules over benchmark results, to a signed verdict; and that verdict verified."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nava.console.output_paths import require_new, require_writable
from nava.runtime.errors import EXIT_DONE, EXIT_GATE_FAILED, InputError

if TYPE_CHECKING:
    from nava.artifacts.benchmark_verdict import BenchmarkVerdict
    from nava.artifacts.gate_verdict import RuleResult
    from nava.artifacts.signature import SigningKey

_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("gate")
@click.option("--rules", type=_FILE, help="YAML file of the rules, see docs/gates.md.")
@click.option("--candidate", "candidates", multiple=True, type=_FOLDER, help="A result; once for each task.")
@click.option("--champion", "champions", multiple=True, type=_FOLDER, help="What each candidate is compared with.")
@click.option(
    "--key",
    "key_dir",
    type=_FILE,
    # The same place as that of `nava model package`.
    default=lambda: Path(click.get_app_dir("nava")) / "keys",
    show_default="keys in your configuration folder of nava",
    help="Folder of the signing key, or its file; made on first use.",
)
@click.option("--out", "-o", type=_FILE, help="The verdict to write, .json; a page of the same name goes beside it.")
@click.option("--package-sha256", help="The package whose outputs the candidate's results are of.")
@click.option("--champion-package-sha256", help="The package whose outputs the champion's results are of.")
@click.option("--version", type=click.IntRange(1), help="Take both packages from the registry: this version's.")
@click.option("--run-dir", type=_FOLDER, help="The run whose registry has --version.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the bootstrap.")
@click.option("--verify", type=_FILE, help="Verify this verdict, and results given by --candidate and --champion.")
@click.option("--public-key", type=_FILE, help="The trusted key, with --verify.")
def gate_command(
    rules: Path | None,
    candidates: tuple[Path, ...],
    champions: tuple[Path, ...],
    key_dir: Path,
    out: Path | None,
    package_sha256: str | None,
    champion_package_sha256: str | None,
    version: int | None,
    run_dir: Path | None,
    seed: int,
    verify: Path | None,
    public_key: Path | None,
) -> None:
    """Judge benchmark results by rules and sign the verdict; or, with --verify, see whether a verdict is genuine.

    Exit codes: 0 passed, 1 not what was signed (--verify), 2 wrong input, 3 the gate said no (the verdict is written).
    """
    if verify is not None:
        if rules or out or public_key is None:
            raise InputError("--verify takes --public-key, and no --rules or --out")
        sys.exit(_verified(verify, public_key, candidates, champions))
    if rules is None or out is None or not candidates:
        raise InputError("give --rules, --candidate and --out; or --verify and --public-key")
    if public_key is not None:
        raise InputError("--public-key goes with --verify; a verdict is signed with --key")
    page = _page(out)
    require_new(out, page)
    if (version is None) != (run_dir is None):
        raise InputError("--version and --run-dir belong together: which version, of which run's registry")
    if version is not None and run_dir is not None:
        if package_sha256 or champion_package_sha256:
            raise InputError("--version says which packages: give no --package-sha256 or --champion-package-sha256")
        package_sha256, champion_package_sha256 = _registered(run_dir, version, compared=bool(champions))
    verdict = _judged(rules, candidates, champions, (package_sha256, champion_package_sha256), seed)
    sys.exit(_written(verdict, out, page, key_dir))


def _judged(
    rules_file: Path,
    candidates: tuple[Path, ...],
    champions: tuple[Path, ...],
    packages: tuple[str | None, str | None],
    seed: int,
) -> BenchmarkVerdict:
    from nava.evaluation.run.result_files import read_result_files
    from nava.registry.benchmark_gate import Compared, by_task, judge, package_of
    from nava.registry.benchmark_rules import read_rules
    from nava.runtime.hashing import is_sha256

    for name, sha256 in zip(("--package-sha256", "--champion-package-sha256"), packages, strict=True):
        if sha256 is not None and not is_sha256(sha256):
            raise InputError(f"{name} is {sha256!r}; it must be 64 lower-case hex digits")
    rules = read_rules(rules_file)
    if champions and len(champions) != len(candidates):
        raise InputError(f"{len(champions)} --champion for {len(candidates)} --candidate: give one for each, or none")
    for ours, theirs in zip(candidates, champions, strict=False):
        if ours.resolve() == theirs.resolve():
            raise InputError(
                f"{ours} is given as candidate and as champion: a result compared with itself shows nothing"
            )
    candidate = by_task([read_result_files(folder) for folder in candidates])
    package, champion_package = package_of(list(candidate.values()), packages[0]), packages[1]
    champion = None
    if champions:
        # In the order given, so that a champion's result of another task is found to be one.
        read = [read_result_files(folder) for folder in champions]
        champion = dict(zip(candidate, read, strict=True))
        champion_package = package_of(read, champion_package)
    elif champion_package is not None:
        raise InputError("--champion-package-sha256 says whose results --champion are: give those")
    return judge(rules, Compared(candidate, champion, package, champion_package), seed)


def _written(verdict: BenchmarkVerdict, out: Path, page: Path, key_dir: Path) -> int:
    from nava.artifacts.benchmark_verdict import write_signed
    from nava.pages.verdict_page import render_verdict
    from nava.runtime.storage import write_text

    key = _signing_key(key_dir)
    title = f"Benchmarks of {', '.join(sorted({entry.model for entry in verdict.candidate}))}"
    write_text(page, render_verdict("benchmark", verdict.passed, verdict.to_dict()["results"], title))
    sha256 = write_signed(out, verdict, key)
    _tell(verdict)
    click.echo(f"{out}: sha256 {sha256}; {page} shows it")
    click.echo(f"verify it with: nava eval gate --verify {out} --public-key {key.public}")
    return EXIT_DONE if verdict.passed else EXIT_GATE_FAILED


def _verified(path: Path, public_key: Path, candidates: tuple[Path, ...], champions: tuple[Path, ...]) -> int:
    from nava.artifacts.benchmark_verdict import read_signed
    from nava.registry.benchmark_evidence import check_evidence

    verdict = read_signed(path, public_key)
    check_evidence(verdict, path, list(candidates), list(champions))
    _tell(verdict)
    held = len(candidates) + len(champions)
    files = f", and {held} result{'' if held == 1 else 's'} as they were judged" if held else ""
    click.echo(f"{path}: signed by {public_key}, unchanged{files}")
    return EXIT_DONE if verdict.passed else EXIT_GATE_FAILED


def _tell(verdict: BenchmarkVerdict) -> None:
    for result in verdict.results:
        click.echo(_line(result))
    click.echo(f"gate 'benchmark' {'passed' if verdict.passed else 'said no'}")


def _line(result: RuleResult) -> str:
    mark = {True: "holds", False: "BROKEN", None: "not applicable"}[result.passed]
    seen = "" if result.observed is None else f": {result.observed}, expected {result.expected}"
    note = result.note.removeprefix("not applicable: ")
    return f"{mark:14} {result.rule}{seen}{f' ({note})' if note else ''}"


def _registered(run_dir: Path, number: int, *, compared: bool) -> tuple[str, str | None]:
    """Package of a version, and the champion's where results are compared with its."""
    from nava.registry.versions import current_champion, list_versions

    packages = {item["version"]: item["package_sha256"] for item in list_versions(run_dir)}
    if number not in packages:
        raise InputError(f"the registry of {run_dir} has no version {number}")
    if packages[number] is None:
        raise InputError(f"version {number} in {run_dir} was never packaged: there is no package to name")
    champion = current_champion(run_dir) if compared else None
    return packages[number], packages[champion.version] if champion else None


def _signing_key(place: Path) -> SigningKey:
    from nava.artifacts.signature import PRIVATE_KEY_FILE, ensure_signing_key

    if place.is_file() and place.name != PRIVATE_KEY_FILE:
        raise InputError(f"--key is {place}: give the folder that holds {PRIVATE_KEY_FILE}, or that file")
    folder = place.parent if place.is_file() else place
    if not (folder / PRIVATE_KEY_FILE).exists():
        require_writable(folder / PRIVATE_KEY_FILE)
    return ensure_signing_key(folder)


def _page(out: Path) -> Path:
    if out.suffix != ".json":
        raise InputError(f"--out is {out}; its name must end with .json")
    return out.with_suffix(".html")
