"""Where benchmark results and verdicts meet the registry: a run's own results, the champion's, a version's verdict.

A run holds a model's benchmark results under `benchmarks/CHECKPOINT_SHA256/NAME`, so that those of an earlier
checkpoint are not taken for the candidate's. The gate puts copies with its verdict, which the registry keeps with the
version: they are what the next candidate is compared with.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nava.artifacts.benchmark_verdict import BenchmarkVerdict, ResultEvidence, read_signed
from nava.artifacts.evaluation_result import EvaluationResult
from nava.artifacts.gate_verdict import RuleResult
from nava.artifacts.signature import SignatureRefused
from nava.config.benchmark_rule import BenchmarkRule
from nava.config.registry import RegistryConfig
from nava.evaluation.run.records import ROWS_FILE, SUMMARY_FILE
from nava.evaluation.run.result_files import ResultFiles, read_result_files
from nava.registry.baseline import Baseline
from nava.registry.benchmark_gate import Compared, by_task, judge
from nava.registry.mlflow_registry import PACKAGE_SHA256_TAG, MlflowRegistry, RegisteredVersion
from nava.runtime.errors import InputError
from nava.runtime.hashing import canonical_json, is_sha256, sha256_bytes, sha256_file, sha256_json

BENCHMARKS_FOLDER = "benchmarks"
CHECKPOINT_TAG = "nava.checkpoint_sha256"
VERDICT_TAG = "nava.benchmark_verdict_sha256"
VERDICTS_ARTIFACT = "benchmark_gate"
# Where the life cycle's gate keeps evidence, in its verdict's folder and so in the registry.
GATE_ARTIFACT = "gate"
EVIDENCE_FILE = "evidence.json"


def results_folder(run_dir: Path, checkpoint_sha256: str) -> Path:
    """Where a run holds the benchmark results of the model of a checkpoint.

    Raises:
        InputError: the checkpoint's hash is none.
    """
    if not is_sha256(checkpoint_sha256):
        raise InputError(f"the checkpoint's sha256 is {checkpoint_sha256!r}: evaluate the checkpoint again")
    return run_dir / BENCHMARKS_FOLDER / checkpoint_sha256


def held_results(folder: Path) -> dict[str, ResultFiles]:
    """The results in the folders of a folder, by task; each may be the output of `nava eval score` as a whole."""
    return by_task([read_result_files(place) for place in _places(folder)])


def held_identity(folder: Path) -> str:
    """Changes when a result in a folder does; empty without any."""
    files = {
        f"{place.relative_to(folder).as_posix()}/{name}": sha256_file(place / name)
        for place in _places(folder)
        for name in (SUMMARY_FILE, ROWS_FILE)
        if (place / name).is_file()
    }
    return sha256_json(files) if files else ""


def champion_results(registry: MlflowRegistry, run_dir: Path, version: int) -> dict[str, ResultFiles]:
    """Results of a version by task: those that the run holds of its checkpoint, else those kept with its verdict."""
    champion = registry.version(version)
    if champion is None:
        raise InputError(f"the registry has no version {version}, with which the candidate is to be compared")
    checkpoint = champion.tags.get(CHECKPOINT_TAG, "")
    held = held_results(results_folder(run_dir, checkpoint)) if is_sha256(checkpoint) else {}
    return {**_registered_results(registry, champion), **held}


def judge_run(
    rules: list[BenchmarkRule],
    result: EvaluationResult,
    config: RegistryConfig,
    run_dir: Path,
    baseline: Baseline,
    seed: int,
) -> tuple[list[RuleResult], dict[str, bytes]]:
    """Apply rules to the benchmark results that a run holds of the candidate's checkpoint.

    Returns:
        What was found, and the evidence as files to keep with the verdict: copies of the candidate's results, and what
        was judged by which rules.
    """
    folder = results_folder(run_dir, result.checkpoint.get("sha256", ""))
    candidate = held_results(folder)
    champion = None
    if baseline.version is not None:
        champion = champion_results(MlflowRegistry(config, run_dir), run_dir, baseline.version)
    verdict = judge(rules, Compared(candidate, champion, place=folder.relative_to(run_dir).as_posix()), seed)
    # The last one, that a rule could be applied, the gate itself asks over all its rules.
    found = verdict.results[:-1]
    files = {f"{BENCHMARKS_FOLDER}/{EVIDENCE_FILE}": canonical_json(verdict.to_dict()).encode()}
    # Numbers, because a task's name is whatever its file says.
    for number, own in enumerate(candidate.values()):
        for name, sha256 in ((SUMMARY_FILE, own.summary_sha256), (ROWS_FILE, own.rows_sha256)):
            content = (own.folder / name).read_bytes()
            if sha256_bytes(content) != sha256:
                raise InputError(f"{own.folder / name} was changed while it was judged: run the gate again")
            files[f"{BENCHMARKS_FOLDER}/{number}/{name}"] = content
    return found, files


def run_identity(result: EvaluationResult, config: RegistryConfig, run_dir: Path, baseline: Baseline) -> str:
    """Changes when the results would that `judge_run` judges, or those that it compares them with."""
    checkpoints = [result.checkpoint.get("sha256", "")]
    if baseline.version is not None:
        champion = MlflowRegistry(config, run_dir).version(baseline.version)
        checkpoints.append(champion.tags.get(CHECKPOINT_TAG, "") if champion else "")
    held = [held_identity(results_folder(run_dir, sha256)) for sha256 in checkpoints if is_sha256(sha256)]
    return sha256_json({"baseline": baseline.fingerprint, "results": held})


def check_evidence(verdict: BenchmarkVerdict, source: Path, candidate: list[Path], champion: list[Path]) -> None:
    """Return only if result folders are those that a verdict rests on.

    Raises:
        SignatureRefused: the verdict does not speak of such a result, or a file is not what it was.
    """
    sides = (("candidate", candidate, verdict.candidate), ("champion", champion, verdict.champion))
    for side, folders, evidence in sides:
        known = {entry.task: entry for entry in evidence}
        for folder in folders:
            task = _task_of(folder)
            if task not in known:
                raise SignatureRefused(f"{source} does not rest on {folder}: it has no {side} result of {task}")
            _require_same(known[task], folder, source)


def verdict_for(path: Path, public_key: Path, version: RegisteredVersion, champion: RegisteredVersion | None) -> str:
    """Return a verdict's sha256 if it lets a version become champion.

    Args:
        path: the signed verdict.
        public_key: the trusted key.
        version: which is to become champion.
        champion: which is now, or None.

    Raises:
        SignatureRefused: it was changed, or signed with another key.
        InputError: it is not a pass, or is about another package or another champion.
    """
    sha256 = sha256_file(path) if path.is_file() else ""
    verdict = read_signed(path, public_key)
    label = f"{version.name} v{version.version}"
    if not verdict.passed:
        broken = next((found.rule for found in verdict.results if found.passed is False), "it is no pass")
        raise InputError(f"{path} said no ({broken}): {label} is not promoted on it")
    _require_package(path, verdict.package_sha256, version, "--package-sha256 or --version")
    if champion is not None and verdict.compares:
        if not verdict.champion:
            name = f"{champion.name} v{champion.version}"
            raise InputError(f"{path} was judged without the champion, {name}: run the gate again with --champion")
        _require_package(path, verdict.champion_package_sha256, champion, "--champion-package-sha256 or --version")
    return sha256


def attach_verdict(registry: MlflowRegistry, version: RegisteredVersion, path: Path, sha256: str) -> None:
    """Keep a verdict with a version: the file under its hash, and the hash as a tag; once more changes nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / f"{sha256}.json"
        copy.write_bytes(path.read_bytes())
        if sha256_file(copy) != sha256:
            raise InputError(f"{path} was changed while it was read: try again")
        registry.client.log_artifact(version.run_id, str(copy), VERDICTS_ARTIFACT)
    registry.tag_version(version.version, {VERDICT_TAG: sha256})


def _places(folder: Path) -> Iterator[Path]:
    """The folders of results; `nava eval score -o NAME` makes them in NAME/result."""
    for place in sorted(folder.glob("*")):
        for candidate in (place, place / "result"):
            if (candidate / SUMMARY_FILE).is_file():
                yield candidate
                break


def _registered_results(registry: MlflowRegistry, version: RegisteredVersion) -> dict[str, ResultFiles]:
    kept = f"{GATE_ARTIFACT}/{BENCHMARKS_FOLDER}"
    if kept not in {item.path for item in registry.client.list_artifacts(version.run_id, GATE_ARTIFACT)}:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        return held_results(registry.download(version.run_id, kept, Path(scratch)))


def _require_package(path: Path, sha256: str | None, version: RegisteredVersion, option: str) -> None:
    label, package = f"{version.name} v{version.version}", version.tags.get(PACKAGE_SHA256_TAG)
    if sha256 is None:
        raise InputError(f"{path} does not say that it is about the package of {label}: gate again with {option}")
    if sha256 != package:
        raise InputError(f"{path} is about package {sha256}, but that of {label} is {package}: gate its own results")


def _task_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / SUMMARY_FILE).read_bytes())["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no result of `nava eval`: its {SUMMARY_FILE} cannot be read") from error


def _require_same(evidence: ResultEvidence, folder: Path, source: Path) -> None:
    for name, expected in ((SUMMARY_FILE, evidence.summary_sha256), (ROWS_FILE, evidence.rows_sha256)):
        path = folder / name
        if not path.is_file():
            raise InputError(f"{folder} holds no result of `nava eval`: it has no {name}")
        if sha256_file(path) != expected:
            raise SignatureRefused(f"{path} is not what {source} rests on: it was changed, or is of another run")
