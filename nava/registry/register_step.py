"""Registers a model version in MLflow, with everything that says where it came from."""

import json
import tempfile
from pathlib import Path
from typing import Any

from nava.artifacts import evaluation_result
from nava.artifacts.model_version import ModelVersion, version_identity, write_model_version
from nava.artifacts.run_record import RunRecord, read_run_record, write_run_record
from nava.config.registry import RegistryConfig
from nava.registry.baseline import Baseline
from nava.registry.mlflow_registry import (
    BASELINE_TAG,
    CANDIDATE,
    EVALUATION_ARTIFACT,
    EVALUATION_TAG,
    IDENTITY_TAG,
    RUN_RECORD_ARTIFACT,
    MlflowRegistry,
    RegisteredVersion,
)
from nava.registry.mlflow_run import MlflowRun
from nava.registry.provenance import collect_run_record, run_steps
from nava.registry.training_curves import read_curves
from nava.runtime.handle import Handle
from nava.runtime.step import Step

VERSION_FILE = "model_version.json"
RUN_RECORD_FILE = "run_record.json"


def register(
    step: Step, evaluation: Handle, verdict: Handle, checkpoint: Handle, shards: Handle, corpus: Handle
) -> Handle:
    """A model version with the alias `candidate`; the same evaluation and checkpoint never make a second one.

    Returns:
        Handle of kind `model_version`. The run record lies beside the file that it refers to, outside the handle's
        hash: it holds times and the machine.
    """
    config = step.section(RegistryConfig)
    registry = MlflowRegistry(config, step.run_dir)
    inputs = {
        "evaluation": evaluation,
        "verdict": verdict,
        "checkpoint": checkpoint,
        "shards": shards,
        "corpus": corpus,
    }
    evidence = {name: handle.sha256 for name, handle in inputs.items()}
    identity = version_identity(evaluation.sha256, checkpoint.sha256)
    baseline = Baseline.from_dict(verdict.require("gate_verdict").meta["baseline"])
    found = registry.find(identity)
    if found is None:
        record = collect_run_record(step, evaluation, checkpoint, shards, corpus)
        found = _create(step, registry, identity, inputs, record)
    else:
        record = _registered_record(registry, found)
        step.log(f"{config.model_name} v{found.version} is already registered from this evaluation and checkpoint")
    write_run_record(step.workdir / RUN_RECORD_FILE, record)
    registry.tag_version(found.version, {BASELINE_TAG: json.dumps(baseline.to_dict())})
    registry.move_alias(CANDIDATE, found.version)
    version = ModelVersion(config.model_name, found.version, found.run_id, identity, evidence, baseline.to_dict())
    step.log(f"registered {version.label} with the alias {CANDIDATE}")
    return write_model_version(step.workdir / VERSION_FILE, version)


def _create(
    step: Step, registry: MlflowRegistry, identity: str, inputs: dict[str, Handle], record: RunRecord
) -> RegisteredVersion:
    evaluation, checkpoint = inputs["evaluation"], inputs["checkpoint"]
    folder = evaluation.require(evaluation_result.KIND).path
    result = evaluation_result.read(folder)
    run = MlflowRun.find_or_start(registry, IDENTITY_TAG, identity)
    run.log_params(record.config)
    run.log_metrics(evaluation_metrics(result))
    run.log_series(read_curves(checkpoint, run_steps(step)))
    run.log_folder(folder, EVALUATION_ARTIFACT)
    run.log_folder(inputs["verdict"].path, "gate")
    run.log_json(record.to_dict(), RUN_RECORD_ARTIFACT)
    tags = {
        IDENTITY_TAG: identity,
        EVALUATION_TAG: evaluation.sha256,
        **{f"nava.{name}_sha256": handle.sha256 for name, handle in inputs.items() if name != "evaluation"},
        **record_tags(record),
    }
    run.tag(tags)
    run.finish()
    return registry.create_version(run.run_id, checkpoint.uri, tags)


def _registered_record(registry: MlflowRegistry, version: RegisteredVersion) -> RunRecord:
    """The record that a version was registered with: what made it, not what asks for it again."""
    with tempfile.TemporaryDirectory() as scratch:
        return read_run_record(registry.download(version.run_id, RUN_RECORD_ARTIFACT, Path(scratch)))


def evaluation_metrics(result: evaluation_result.EvaluationResult) -> dict[str, float]:
    """Every measured metric with its interval and n, and the untrained model's value where there is one."""
    values: dict[str, float] = {}
    for metric in result.metrics:
        if not metric.measured:
            continue
        numbers = {"": metric.value, "_ci_low": metric.ci_low, "_ci_high": metric.ci_high, "_n": metric.n}
        values |= {
            f"evaluation/{metric.name}{end}": float(number) for end, number in numbers.items() if number is not None
        }
        if metric.baseline_untrained is not None:
            values[f"evaluation/{metric.name}_untrained"] = metric.baseline_untrained.value
    return values


def record_tags(record: RunRecord) -> dict[str, str]:
    """The run record's short facts as tags, so that versions can be searched by them."""
    facts: dict[str, Any] = {
        "nava.git_sha": record.git_sha or "none",
        "nava.git_dirty": record.git_dirty,
        "nava.config_sha256": record.config_sha256,
        "nava.seed": record.seed,
        "nava.run_record": RUN_RECORD_ARTIFACT,
    }
    return {name: str(value) for name, value in facts.items()}
