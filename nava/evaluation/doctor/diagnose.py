"""The doctor: spoil the clips of the built-in benchmark, score them, and hold what moved against the manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nava.evaluation.benchmark.builtin import BuiltinBenchmark
from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.benchmark.task import Task
from nava.evaluation.catalogue.manifest import MetricManifest, catalogue
from nava.evaluation.doctor.perturb import PERTURB, Clip
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.run.cells import columns, wishes
from nava.evaluation.run.rows import Row
from nava.evaluation.run.score import ScoringSettings, Watch, extract_features, score_outputs
from nava.evaluation.statistics import wilson

# What is decoded and encoded again is never quite the same: a metric that should not move may move by this share of how
# much it differs between clips.
TOLERANCE = 0.25


@dataclass(frozen=True)
class Finding:
    """A metric under a perturbation.

    Attributes:
        expected: `worse`, or `same`.
        held: whether it was so; None if it could not be seen, with the reason.
        auroc: how surely a spoilt clip is told from a whole one by the value, 0.5 is chance; with its interval.
        whole, spoilt: mean values.
    """

    column: str
    perturbation: str
    expected: str
    held: bool | None
    whole: float | None
    spoilt: float | None
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    n: int
    reason: str = ""


def diagnose(
    benchmark: BuiltinBenchmark, task: Task, folder: Path, settings: ScoringSettings, watch: Watch
) -> list[Finding]:
    """Every embedded metric of the task under every perturbation that its manifest names.

    Args:
        benchmark: the built-in one.
        task: its task.
        folder: for spoilt clips and features; what is in it is not made again.
        settings: of scoring.
        watch: shows progress.
    """
    cache = FeatureCache(folder / "features")
    true_clips = {item.item_id: benchmark.true_clip(item) for item in benchmark.items}
    jobs = {"": (list(benchmark.items), true_clips, [routing.metric for routing in task.metrics])}
    for name in sorted({name for routing in task.metrics for name in _named(catalogue()[routing.metric])}):
        metrics = [routing.metric for routing in task.metrics if name in _named(catalogue()[routing.metric])]
        jobs[name] = (*spoilt_benchmark(benchmark, name, folder / "clips" / name), metrics)
    # All at once: starting workers for each would take longer than their work.
    wanted = [
        wish for items, outputs, metrics in jobs.values() for wish in _wishes(task, items, outputs, metrics, cache)
    ]
    extract_features(wanted, cache, settings, watch)
    rows = {
        name: score_outputs(task, items, outputs, cache, settings, lambda things, *_told: things, metrics).rows
        for name, (items, outputs, metrics) in jobs.items()
    }
    return [finding for name in jobs if name for finding in _findings(name, jobs[name][2], rows[""], rows[name])]


def _wishes(
    task: Task, items: list[Item], outputs: dict[str, Path], metrics: list[str], cache: FeatureCache
) -> Iterator[Wish]:
    found, _ = columns(task, items, metrics)
    return wishes(found, outputs, cache)


def _named(manifest: MetricManifest) -> tuple[str, ...]:
    return (*manifest.sensitive_to, *manifest.insensitive_to) if manifest.level != "set" else ()


def spoilt_benchmark(benchmark: BuiltinBenchmark, name: str, folder: Path) -> tuple[list[Item], dict[str, Path]]:
    """The benchmark with every clip spoilt in one way, written as files."""
    from nava.generation.media import write_mp4

    folder.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    outputs: dict[str, Path] = {}
    for item in benchmark.items:
        other = _other(benchmark.items, item)
        path = folder / f"{item.item_id}.mp4"
        outputs[item.item_id] = path
        if name == "text_swapped":
            items.append(replace(item, speech=other.speech or (Spoken("nothing of the kind"),)))
            outputs[item.item_id] = benchmark.true_clip(item)
            continue
        items.append(item)
        if not path.is_file():
            made = PERTURB[name](*(_clip(benchmark, one) for one in (item, other)))
            write_mp4(path, made.frames_THWC, made.fps, made.samples_N, made.sample_rate_hz)
    return items, outputs


def _clip(benchmark: BuiltinBenchmark, item: Item) -> Clip:
    from nava.generation.media import read_mp4

    media = read_mp4(benchmark.true_clip(item))
    return Clip(media.frames, media.samples, float(media.fps), media.sample_rate, item.spoken_text)


def _other(items: Sequence[Item], item: Item) -> Item:
    """The next clip of the kind, of another speaker where there are speakers."""
    kind = [one for one in items if one.subset == item.subset]
    turned = kind[kind.index(item) + 1 :] + kind[: kind.index(item)]
    voices = set(item.truth.get("voices", ()))
    return next((one for one in turned if not voices & set(one.truth.get("voices", ()))), turned[0] if turned else item)


def _findings(name: str, metrics: Sequence[str], whole: Iterable[Row], spoilt: Iterable[Row]) -> Iterator[Finding]:
    before, after = _values(whole), _values(spoilt)
    for column in before:
        metric = column.partition("[")[0]
        if metric not in metrics:
            continue
        manifest = catalogue()[metric]
        expected = "worse" if name in manifest.sensitive_to else "same"
        yield _finding(column, name, expected, manifest, before[column], after.get(column, {}))


def _values(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        values = found.setdefault(f"{row.metric}[{row.backend}]", {})
        if row.value is not None:
            values[row.item_id] = row.value
    return found


def _finding(
    column: str,
    name: str,
    expected: str,
    manifest: MetricManifest,
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> Finding:
    common = sorted(before.keys() & after.keys())
    lost = len(before.keys() - after.keys())
    if expected == "worse" and lost and lost >= len(common):
        # Where a value becomes a reason, the perturbation was noticed.
        mean = float(np.mean(list(before.values())))
        return Finding(column, name, expected, True, mean, None, None, None, None, lost, "the values became reasons")
    if len(common) < 2:
        reason = f"{len(common)} clips have a value before and after"
        return Finding(column, name, expected, None, None, None, None, None, None, len(common), reason)
    sign = 1.0 if manifest.direction == "higher" else -1.0
    whole, spoilt = (sign * np.array([values[item] for item in common]) for values in (before, after))
    auroc, low, high = _auroc(whole, spoilt)
    drop = float((whole - spoilt).mean())
    spread = float(whole.std())
    held = drop > 0 and auroc > 0.5 if expected == "worse" else abs(drop) <= TOLERANCE * max(spread, 1e-3)
    return Finding(
        column, name, expected, bool(held), float(sign * whole.mean()), float(sign * spoilt.mean()), auroc, low, high,
        len(common),
    )  # fmt: skip


def _auroc(whole: np.ndarray, spoilt: np.ndarray) -> tuple[float, float, float]:
    """How often a whole clip has the better value of two, ties half; the interval is Wilson's of the paired clips."""
    higher = (whole[:, None] > spoilt[None]).mean() + 0.5 * (whole[:, None] == spoilt[None]).mean()
    estimate = wilson(round(float(higher) * len(whole)), len(whole))
    return float(higher), estimate.ci_low, estimate.ci_high
