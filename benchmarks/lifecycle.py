"""Claim: the demo fits ten minutes and 8 GB, a second run thirty seconds, and a step costs little to orchestrate.

Runs the demo twice in a workspace of its own and writes `benchmarks/results/lifecycle.json`: times and peak memory of
the steps, the time of the second run, and the orchestration overhead per step. Everything is reused in the second run,
so all of its time is overhead. Command: `python benchmarks/lifecycle.py`, or `make bench` for all.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "lifecycle.json"


def run(workspace: Path) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, "-m", "nava.cli", "pipeline", "run", "lifecycle", "--workspace", str(workspace)]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True)
    return time.monotonic() - started, json.loads((workspace / "demo" / "summary.json").read_text())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first_s, first = run(Path(folder))
        second_s, second = run(Path(folder))
    steps = {step["name"]: step for step in first["steps"]}
    value = {
        "command": "python benchmarks/lifecycle.py",
        "machine": machine(),
        "first_run_s": round(first_s, 1),
        "step_s": {name: step["seconds"] for name, step in steps.items()},
        "step_share": {name: round(step["seconds"] / first_s, 4) for name, step in steps.items()},
        "peak_memory_mb": max(step["peak_memory_mb"] for step in first["steps"]),
        "peak_memory_mb_by_step": {name: step["peak_memory_mb"] for name, step in steps.items()},
        "second_run_s": round(second_s, 1),
        "second_run_share": round(second_s / first_s, 4),
        "overhead_per_step_s": round(second_s / len(second["steps"]), 3),
        "overhead_share_of_first_run": round(second_s / first_s, 4),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(value, indent=2) + "\n")
    print(json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
