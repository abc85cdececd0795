"""`summary.json`: what the page of a run shows, for machines. Made from the same facts, so the two cannot disagree."""

from pathlib import Path
from typing import Any

from nava.pages.run_facts import Estimate, MetricFacts, RunPage
from nava.runtime.storage import write_json

SCHEMA_VERSION = 1
STEP_FIELDS = ("name", "state", "seconds", "cached", "depends_on", "error", "key", "peak_memory_mb")


def run_summary(page: RunPage) -> dict[str, Any]:
    """The summary of a run as JSON values::

    {"schema_version": 1,
     "run": "demo", "run_id": "...", "recipe": "demo", "state": "succeeded" | "gate_failed" | "failed" | "running",
     "started_at": "...", "seconds": 487.0, "git": {"sha": "...", "dirty": false},
     "steps": [{"name", "state", "seconds", "cached", "depends_on", "error", "key", "peak_memory_mb"}],
     "failure": null | {"step", "message", "rule", "records", "remedy", "exit_code", "log_href"},
     "records": null | {"files", "total", "kept", "dropped", "failed", "quarantined"},
     "dropped": {"<reason>": count},                   # every record that was not kept, by reason
     "corpus": null | {"revision", "dvc_hash", "clips", "splits"},
     "codec": [{"label", "value", "unit", "modality"}],
     "stages": [{"name", "first_validation_loss", "last_validation_loss"}],
     "metrics": {"<name>": {"value", "ci_low", "ci_high", "n", "unit", "reason", "against": {"<label>": {...}}}},
     "not_learned": ["..."],
     "gates": [{"gate", "passed", "failed_rules": [{"rule", "observed", "expected", "offending"}]}],
     "model_version": null | {"name", "version", "aliases", "package_sha256", "signature_verified"},
     "promotion": null | {"alias", "from_version", "to_version", "entry_sha256"},
     "clips": ["runs/demo/..."],                       # generated MP4s, relative to the repository
     "pages": [{"label", "href"}]}                     # that steps made of their results, relative to the run's folder
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "run": page.run_name,
        "run_id": page.run_id,
        "recipe": page.recipe,
        "state": page.state,
        "started_at": page.started_at,
        "seconds": page.duration_s,
        "git": {"sha": page.git_sha, "dirty": page.git_dirty},
        "steps": [_pick(step, *STEP_FIELDS) for step in page.steps],
        "failure": _pick(page.failure, "step", "message", "rule", "records", "remedy", "exit_code", "log_href"),
        "records": _pick(page.sources, "files", "total", "kept", "dropped", "failed", "quarantined"),
        "dropped": dict(page.sources.reasons) if page.sources else {},
        "corpus": _pick(page.corpus, "revision", "dvc_hash", "clips", "splits"),
        "codec": [_pick(figure, "label", "value", "unit", "modality") for figure in page.codec_quality],
        "stages": [_pick(stage, "name", "first_validation_loss", "last_validation_loss") for stage in page.stages],
        "metrics": {metric.name: _metric(metric) for metric in (*page.metrics, *page.guidance, *page.text_control)},
        "not_learned": [statement.text for statement in page.statements if statement.learned is False],
        "gates": [
            {
                "gate": gate.gate,
                "passed": gate.passed,
                "failed_rules": [_rule(r) for r in gate.rules if r["passed"] is False],
            }
            for gate in page.gates
        ],
        "model_version": _pick(
            page.model_version, "name", "version", "aliases", "package_sha256", "signature_verified"
        ),
        "promotion": _pick(page.promotion, "alias", "from_version", "to_version", "entry_sha256"),
        "clips": [clip.name for clip in page.clips if clip.name and clip.kind == "generated"],
        "pages": [_pick(link, "label", "href") for link in page.pages],
    }


def write_run_summary(path: Path, page: RunPage) -> None:
    """Write `summary.json` atomically.

    Raises:
        ValueError: a value is NaN or infinite, which JSON cannot hold.
    """
    write_json(path, run_summary(page))


def _pick(facts: Any, *names: str) -> dict[str, Any] | None:
    """The named fields of a dataclass as JSON values; None for None."""
    if facts is None:
        return None
    values = {name: getattr(facts, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _estimate(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {"value": None, "ci_low": None, "ci_high": None, "n": None}
    return {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high, "n": estimate.n}


def _metric(metric: MetricFacts) -> dict[str, Any]:
    against: dict[str, Any] = {arm.label: _estimate(arm.estimate) for arm in metric.arms}
    return _estimate(metric.estimate) | {"unit": metric.unit, "reason": metric.reason, "against": against}


def _rule(rule: Any) -> dict[str, Any]:
    return {name: rule.get(name) for name in ("rule", "observed", "expected")} | {
        "offending": list(rule.get("offending", ()))
    }
