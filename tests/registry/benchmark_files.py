"""Results of `nava eval score` made by hand: every value is given, and figures are what the rows come to."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nava.config.benchmark_rule import BenchmarkRule
from nava.evaluation.catalogue.manifest import catalogue
from nava.evaluation.run.records import ROWS_FILE, Figure, Row, write_rows
from nava.runtime.storage import read_json, write_json

TASK = "pocket.test.v1"
# Higher is better; lower is better; never ran on its real weights.
ONSET, FLICKER, SYNC = "onset_f1[tracks]", "flicker[frames]", "sync_c.mova[syncnet_mova]"
ITEMS = 16
# Mean -0.02 with a 95 % interval of about a quarter to both sides.
NOISY = [0.48 if number % 2 else -0.52 for number in range(ITEMS)]


def names(column: str) -> tuple[str, str]:
    metric, _, backend = column.rstrip("]").partition("[")
    return metric, backend


def rule(column: str = ONSET, **changes: Any) -> BenchmarkRule:
    metric, backend = names(column)
    return BenchmarkRule(**{"task": TASK, "metric": metric, "backend": backend, **changes})


def figure(column: str, values: list[float | None], half: float | None = 0.1, **changes: Any) -> dict[str, Any]:
    """The figure of values, with an interval of so much to both sides."""
    metric, backend = names(column)
    manifest = catalogue()[metric]
    found = [value for value in values if value is not None]
    mean = sum(found) / len(found) if found else None
    fields = {
        "column": column,
        "metric": metric,
        "protocol": manifest.protocol,
        "backend": backend,
        "tier": manifest.backend(backend).tier,
        "unit": manifest.unit,
        "direction": manifest.direction,
        "level": manifest.level,
        "value": mean,
        "ci_low": None if mean is None or half is None else mean - half,
        "ci_high": None if mean is None or half is None else mean + half,
        "n": len(found),
        "eligible": len(values),
        "covered": len(found) >= 0.9 * len(values),
        "unproven": not manifest.backend(backend).proven,
        "reason": "" if found else "nothing measured",
        "reasons": {},
        "backend_sha256": "1" * 64,
    }
    made = asdict(Figure(**{**fields, **changes}))
    return {**made, "coverage": made["n"] / made["eligible"] if made["eligible"] else 0.0}


def benchmark(
    folder: Path,
    values: Mapping[str, list[float | None]],
    *,
    half: float | None = 0.1,
    figures: Mapping[str, Mapping[str, Any]] | None = None,
    **changes: Any,
) -> Path:
    """A result with these values of items i00, i01, ...; `figures` changes fields of figures by column."""
    rows, made = [], []
    for column, own in values.items():
        made.append(figure(column, own, half, **(figures or {}).get(column, {})))
        for number, value in enumerate(own):
            metric, backend = names(column)
            reason = "" if value is not None else "gone"
            protocol, tier = made[-1]["protocol"], made[-1]["tier"]
            rows.append(Row(f"i{number:02}", "all", metric, protocol, backend, tier, value, reason))
    write_rows(folder / ROWS_FILE, rows)
    summary = {
        "schema_version": 1,
        "model": "mine",
        "task": TASK,
        "edition": "test",
        "title": "Pocket",
        "manifest_sha256": "0" * 64,
        "items": ITEMS,
        "min_coverage": 0.9,
        "seed": 0,
        "figures": made,
        "absent": [],
    }
    write_json(folder / "summary.json", {**summary, **changes})
    return folder


def edit(folder: Path, **changes: Any) -> Path:
    """Change fields of a summary."""
    write_json(folder / "summary.json", {**read_json(folder / "summary.json"), **changes})
    return folder
