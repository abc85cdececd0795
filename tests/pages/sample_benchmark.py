"""Three results as `nava eval score` writes them: values and gaps, embedded and paper metrics, and one of sets."""

from pathlib import Path
from typing import Any

import numpy as np

from nava.evaluation.run.records import ROWS_FILE, Row, write_rows
from nava.evaluation.run.report import write_report
from nava.evaluation.statistics import bootstrap_mean
from nava.runtime.storage import write_json
from tests.evaluation.benchmark_items import clip, tone
from tests.evaluation.run.results import a_figure

ITEMS = 24
MODELS = ("base", "large", "large & <tuned>")
# Direction, spread of items, mean of each model.
METRICS: dict[str, tuple[str, float, tuple[float, float, float]]] = {
    "flicker[frames]": ("lower", 0.4, (2.0, 1.6, 1.2)),
    "sharpness[frames]": ("higher", 30.0, (120.0, 150.0, 145.0)),
    "onset_f1[tracks]": ("higher", 0.15, (0.4, 0.6, 0.7)),
    "av_offset[tracks]": ("lower", 0.05, (0.2, 0.12, 0.1)),
    "wer.nfkc_cjk[pocketsphinx]": ("lower", 0.15, (0.9, 0.8, 0.7)),
    "sync_c.mova[syncnet]": ("higher", 0.8, (4.1, 5.0, 6.2)),
}
MISSING = {("base", "onset_f1[tracks]"): (3, 7), ("large", "onset_f1[tracks]"): (5,)}


def item_id(number: int) -> str:
    return f"{('impact', 'flash', 'talk')[number % 3]}-{number:02d}"


def value(column: str, model: str, number: int) -> float | None:
    if number in MISSING.get((model, column), ()):
        return None
    _, spread, means = METRICS[column]
    rng = np.random.default_rng([list(METRICS).index(column), number])
    own = np.random.default_rng([1, MODELS.index(model), list(METRICS).index(column), number])
    return float(
        abs(means[MODELS.index(model)] + spread * rng.standard_normal() + 0.3 * spread * own.standard_normal())
    )


def write_result(folder: Path, model: str, items: int = ITEMS) -> Path:
    figures, rows = [], []
    for column, (direction, _, _) in METRICS.items():
        metric, backend = column.rstrip("]").split("[")
        tier = "paper" if backend == "syncnet" else "embedded"
        values = [value(column, model, number) for number in range(items)]
        rows += [
            Row(item_id(number), item_id(number).split("-")[0], metric, f"{metric}.v1", backend, tier, found,
                "" if found is not None else "no <onset> was found")
            for number, found in enumerate(values)
        ]  # fmt: skip
        measured = [found for found in values if found is not None]
        mean = bootstrap_mean(measured, 0)
        changes: dict[str, Any] = {"direction": direction, "tier": tier, "unproven": tier == "paper"}
        changes |= {"ci_low": mean.ci_low, "ci_high": mean.ci_high, "n": len(measured), "eligible": items}
        figures.append(a_figure(column, mean.value, **changes))
    distance = {"base": 14.0, "large": 9.0}.get(model, 6.0)
    figures.append(
        a_figure(
            "fd.frechet_lite[mel_moments]", distance, level="set", n=items, eligible=items,
            ci_low=distance - 1, ci_high=distance + 2,
        )
    )  # fmt: skip
    folder.mkdir(parents=True)
    write_rows(folder / ROWS_FILE, rows)
    summary = {
        "schema_version": 1, "model": model, "task": "verse_bench_nava.nava_rewrite.v1", "edition": "nava_rewrite",
        "title": "Verse-Bench, columns of NAVA's table", "manifest_sha256": "5" * 64, "items": items,
        "min_coverage": 0.9, "seed": 0, "figures": figures,
        "absent": [{"metric": "audiobox_pq", "backend": "audiobox_aesthetics", "reason": "no weights are configured"}],
    }  # fmt: skip
    write_json(folder / "summary.json", summary)
    return folder


def write_sample(root: Path, items: int = ITEMS) -> Path:
    """Results, outputs and the report of them; the page."""
    results = [write_result(root / f"result{n}", model, items) for n, model in enumerate(MODELS)]
    for n in range(len(MODELS)):
        for number in range(3):
            if number == 2:
                tone(root / f"outputs{n}" / f"{item_id(number)}.wav", hertz=200.0 + 20 * n)
            else:
                clip(root / f"outputs{n}" / f"{item_id(number)}.mp4", 3 * n + number)
    return write_report(results, root / "report", [root / f"outputs{n}" for n in range(len(MODELS))], clips=3)
