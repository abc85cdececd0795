"""Results written without a run, for tests of what compares them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nava.evaluation.run.records import ROWS_FILE, Row, write_rows
from nava.runtime.storage import write_json


def a_figure(column: str, value: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    metric, _, backend = column.partition("[")
    return {
        "column": column, "metric": metric, "protocol": f"{metric}.v1", "backend": backend.rstrip("]"),
        "tier": "embedded", "unit": "", "direction": "lower", "level": "sample", "value": value,
        "ci_low": None, "ci_high": None, "n": 3,
        "eligible": 3, "covered": True, "unproven": False, "reason": "", "reasons": {}, "coverage": 1.0, **changes,
    }  # fmt: skip


def a_result(
    folder: Path,
    values: Mapping[str, Mapping[str, float | None]],
    *,
    model: str = "m",
    task: str = "tiny.test.v1",
    manifest: str = "0" * 64,
    figures: list[dict[str, Any]] | None = None,
    absent: list[dict[str, str]] | None = None,
    protocol: str = "v1",
) -> Path:
    """A folder with rows of these values by column and item."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        Row(item, "one", column.partition("[")[0], protocol, column.partition("[")[2].rstrip("]"), "embedded", value,
            "" if value is not None else "gone")
        for column, by_item in values.items()
        for item, value in by_item.items()
    ]  # fmt: skip
    write_rows(folder / ROWS_FILE, rows)
    summary = {
        "schema_version": 1,
        "model": model,
        "task": task,
        "manifest_sha256": manifest,
        "figures": [a_figure(column) for column in values] if figures is None else figures,
        "absent": absent or [],
    }
    write_json(folder / "summary.json", summary)
    return folder
