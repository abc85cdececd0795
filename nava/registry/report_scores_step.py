"""The pipeline step `report_scores`: the page and the tables of a benchmark, and all of it in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nava.config.benchmark import BenchmarkConfig
from nava.config.registry import RegistryConfig
from nava.runtime.handle import Handle
from nava.runtime.step import Step

RESULT_TAG = "nava.benchmark_result_sha256"


def report_scores(step: Step, outputs: Handle, result: Handle) -> Handle:
    """Write the page and the tables, and log figures, rows, tables and page to MLflow.

    Args:
        step: the step.
        outputs: handle of kind `benchmark_outputs`, for clips to look at.
        result: handle of kind `benchmark_result`.

    Returns:
        Handle of kind `benchmark_report`; meta has the page and the figures by name.
    """
    from nava.evaluation.run.arm import arm_folder, read_arm
    from nava.evaluation.run.records import read_summary
    from nava.evaluation.run.report import PAGE_FILE, write_report
    from nava.evaluation.run.steps import OUTPUTS, REPORT, RESULT
    from nava.runtime.storage import atomic_folder

    config = step.section(BenchmarkConfig)
    names = result.require(RESULT).meta["arms"]
    folders = {name: arm_folder(result.path, name) / "result" for name in names}
    arms = [read_arm(arm_folder(outputs.require(OUTPUTS).path, name)) for name in names]
    summaries = {name: read_summary(folder) for name, folder in folders.items()}
    folder = step.workdir / "report"
    with atomic_folder(folder) as part:
        write_report(list(folders.values()), part, [arm.outputs for arm in arms], config.clips)
    metrics = {name: value for arm, summary in summaries.items() for name, value in figures_of(arm, summary).items()}
    tags = {"nava.package_sha256": str(outputs.meta["package_sha256"])}
    tags |= {f"nava.benchmark_{name}": str(summaries["model"][name]) for name in ("task", "manifest_sha256", "model")}
    run_id = _log(step, result, folder, metrics, tags)
    step.log(f"{folder / PAGE_FILE}; MLflow run {run_id}")
    return Handle.of_path(
        REPORT, folder, page=PAGE_FILE, metrics=metrics, uncovered=result.meta["uncovered"], mlflow_run_id=run_id
    )


def figures_of(arm: str, summary: dict[str, Any]) -> dict[str, float]:
    """Every figure with its interval, n and coverage, under names that MLflow and KFP take."""
    found: dict[str, float] = {}
    for figure in summary["figures"]:
        name = f"benchmark/{arm}/{figure['metric']}/{figure['backend']}"
        numbers = {"": "value", "_ci_low": "ci_low", "_ci_high": "ci_high", "_n": "n", "_coverage": "coverage"}
        found |= {f"{name}{end}": float(figure[field]) for end, field in numbers.items() if figure[field] is not None}
    return found


def _log(step: Step, result: Handle, report: Path, metrics: dict[str, float], tags: dict[str, str]) -> str:
    from nava.registry.mlflow_registry import MlflowRegistry
    from nava.registry.mlflow_run import MlflowRun

    registry = MlflowRegistry(step.section(RegistryConfig), step.run_dir)
    run = MlflowRun.find_or_start(registry, RESULT_TAG, result.sha256)
    run.log_params({"benchmark": step.sections["benchmark"], "seed": step.seed})
    run.log_metrics(metrics)
    run.log_folder(result.path, "result")
    run.log_folder(report, "report")
    run.tag(tags)
    run.finish()
    return run.run_id
