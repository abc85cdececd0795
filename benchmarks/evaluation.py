"""Claim: the built-in benchmark takes under five minutes on two cores, and what was extracted is not extracted again.

The truth's own clips are scored under every embedded metric: once from nothing, and once with all features at hand.
Seconds per clip and backend are those of the extraction alone, in its worker.

Command: `python benchmarks/evaluation.py` (about two minutes). Writes `benchmarks/results/evaluation.json`.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine  # noqa: E402
from nava.evaluation.benchmark.builtin import BuiltinBenchmark, make_builtin  # noqa: E402
from nava.evaluation.benchmark.task import Task, load_task  # noqa: E402
from nava.evaluation.extraction.feature_cache import FeatureCache  # noqa: E402
from nava.evaluation.run.score import Scored, ScoringSettings, score_outputs  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "evaluation.json"
GOAL_S = 300.0


class Stopwatch:
    """Seconds of each backend's work, file by file, as the workers report them."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def __call__(self, things: Iterable[Any], _total: int, _label: str) -> Iterator[Any]:
        for unit, extracted in things:
            for part in extracted:
                self.seconds.setdefault(part.backend, []).append(part.seconds)
            yield unit, extracted


def scored(
    benchmark: BuiltinBenchmark, task: Task, cache: FeatureCache, workers: int
) -> tuple[Scored, float, dict[str, list[float]]]:
    """A run of the benchmark over its own clips, its seconds, and those of each backend."""
    outputs = {item.item_id: benchmark.true_clip(item) for item in benchmark.items}
    watch, since = Stopwatch(), time.perf_counter()
    found = score_outputs(task, benchmark.items, outputs, cache, ScoringSettings(workers=workers), watch)
    return found, time.perf_counter() - since, watch.seconds


def measure(folder: Path, workers: int) -> dict[str, Any]:
    """Make the benchmark and score it three times."""
    since = time.perf_counter()
    benchmark = make_builtin(folder / "builtin")
    made_s = time.perf_counter() - since
    task, features = load_task("builtin"), folder / "features"
    first, cold_s, seconds = scored(benchmark, task, FeatureCache(features), workers)
    again, warm_s, none = scored(benchmark, task, FeatureCache(features), workers)
    assert first == again, "a run from features must equal the run that made them"
    assert not none, f"extracted again: {', '.join(none)}"
    return {
        "clips": len(benchmark.items),
        "made_s": round(made_s, 1),
        "cold_s": round(cold_s, 1),
        "warm_s": round(warm_s, 2),
        "cold_over_warm": round(cold_s / warm_s, 1),
        "whole_s": round(made_s + cold_s, 1),
        "goal_s": GOAL_S,
        "backends": {
            name: {
                "files": len(values),
                "median_s": round(statistics.median(values), 3),
                "sum_s": round(sum(values), 1),
            }
            for name, values in sorted(seconds.items(), key=lambda entry: -sum(entry[1]))
        },
        "metrics": {figure.column: figure.value for figure in first.figures},
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    found: dict[str, Any] = {"command": "python benchmarks/evaluation.py", "machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        found |= {"workers": options.workers, **measure(Path(folder), options.workers)}
    text = json.dumps(found, indent=2) + "\n"
    print(text, end="")
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
