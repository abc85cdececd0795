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
from nava.evaluation.catalogue.perturbations import GRADES
from nava.evaluation.doctor.amounts import AMOUNTS
from nava.evaluation.doctor.perturb import PERTURB, Clip
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.run.cells import columns, wishes
from nava.evaluation.run.records import Row
from nava.evaluation.run.score import ScoringSettings, Watch, extract_features, score_outputs
from nava.evaluation.scoring.discrimination import auroc

# What is decoded and encoded again is never quite the same: a metric that should not move may move by this share of how
# much it differs between clips.
TOLERANCE = 0.25
MIN_CLIPS = 2
_Columns = Mapping[str, Mapping[str, float]]
"""Values by column and item."""


@dataclass(frozen=True)
class Finding:
    """A metric under a perturbation.

    Attributes:
        expected: `worse`, `same`, or `graded`: each strength worse than the weaker one.
        held: whether it was so; None if it could not be seen, with the reason.
        auroc: how surely a spoilt clip is told from a whole one by the value, 0.5 is chance; with its interval.
        whole, spoilt: mean values; of `graded` ones those of the weakest and the strongest.
    """

    column: str
    perturbation: str
    expected: str
    held: bool | None
    whole: float | None
    spoilt: float | None
    auroc: float | None
    ci_low: float | None
    ci_high: float | None
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
    looked_at = {routing.metric: _looked_at(catalogue()[routing.metric]) for routing in task.metrics}
    for name in sorted({name for names in looked_at.values() for name in names}):
        metrics = [metric for metric, names in looked_at.items() if name in names]
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
    values = {name: _values(found) for name, found in rows.items()}
    single = [finding for name in jobs if name for finding in _findings(name, jobs[name][2], values)]
    return single + [finding for grade in GRADES if grade in jobs for finding in _graded(grade, values)]


def _wishes(
    task: Task, items: list[Item], outputs: dict[str, Path], metrics: list[str], cache: FeatureCache
) -> Iterator[Wish]:
    found, _ = columns(task, items, metrics)
    return wishes(found, outputs, cache)


def _looked_at(manifest: MetricManifest) -> set[str]:
    """Perturbations that a metric is seen under: those its manifest names, and their weaker grades."""
    if manifest.level == "set":
        return set()
    grades = [name for named in manifest.sensitive_to for name in GRADES.get(named, ())]
    return {*manifest.sensitive_to, *manifest.insensitive_to, *grades}


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


def _findings(name: str, metrics: Sequence[str], values: Mapping[str, _Columns]) -> Iterator[Finding]:
    """What the metrics that name a perturbation did under it."""
    for column, before in values[""].items():
        metric = column.partition("[")[0]
        manifest = catalogue()[metric]
        if metric in metrics and name in (*manifest.sensitive_to, *manifest.insensitive_to):
            yield _finding(column, name, manifest, before, values[name].get(column, {}))


def _graded(grade: str, values: Mapping[str, _Columns]) -> Iterator[Finding]:
    """Each strength must be noticed more than the weaker one, but for what chance does to means of few clips."""
    names = GRADES[grade]
    for column in values[names[-1]]:
        manifest = catalogue()[column.partition("[")[0]]
        if grade not in manifest.sensitive_to:
            continue
        steps = [values[name].get(column, {}) for name in names]
        common = sorted(set.intersection(*(set(step) for step in steps)))
        title = " > ".join(names)
        if len(common) < MIN_CLIPS:
            yield _unseen(column, title, "graded", len(common))
            continue
        sign = 1.0 if manifest.direction == "higher" else -1.0
        goodness_SN = sign * np.array([[step[item] for item in common] for step in steps])
        gains_GN = np.diff(goodness_SN, axis=0)
        errors_G = gains_GN.std(axis=1, ddof=1) / np.sqrt(len(common))
        held = (gains_GN.mean(axis=1) <= errors_G).all() and goodness_SN[-1].mean() < goodness_SN[0].mean()
        found = auroc(goodness_SN[0], goodness_SN[-1])
        weakest, strongest = (float(sign * goodness_SN[end].mean()) for end in (0, -1))
        yield Finding(
            column, title, "graded", bool(held), weakest, strongest, found.value, found.ci_low, found.ci_high,
            len(common),
        )  # fmt: skip


def _values(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        values = found.setdefault(f"{row.metric}[{row.backend}]", {})
        if row.value is not None:
            values[row.item_id] = row.value
    return found


def _finding(
    column: str, name: str, manifest: MetricManifest, before: Mapping[str, float], after: Mapping[str, float]
) -> Finding:
    expected = "worse" if name in manifest.sensitive_to else "same"
    common = sorted(before.keys() & after.keys())
    lost = len(before.keys() - after.keys())
    if expected == "worse" and lost and lost >= len(common):
        # Where a value becomes a reason, the perturbation was noticed.
        mean = float(np.mean(list(before.values())))
        return Finding(column, name, expected, True, mean, None, None, None, None, lost, "the values became reasons")
    if len(common) < MIN_CLIPS:
        return _unseen(column, name, expected, len(common))
    whole_N, spoilt_N = (np.array([values[item] for item in common]) for values in (before, after))
    sign = 1.0 if manifest.direction == "higher" else -1.0
    found = auroc(sign * whole_N, sign * spoilt_N)
    drop = float(sign * (whole_N - spoilt_N).mean())
    amount = AMOUNTS.get((manifest.metric_id, name))
    reason = amount.problem(whole_N, spoilt_N) if amount else ""
    if expected == "worse":
        held = drop > 0 and found.value > 0.5 and not reason
    else:
        held = abs(drop) <= TOLERANCE * max(float(whole_N.std()), 1e-3)
    return Finding(
        column, name, expected, held, float(whole_N.mean()), float(spoilt_N.mean()), found.value, found.ci_low,
        found.ci_high, len(common), reason,
    )  # fmt: skip


def _unseen(column: str, name: str, expected: str, clips: int) -> Finding:
    reason = f"{clips} clips have a value before and after"
    return Finding(column, name, expected, None, None, None, None, None, None, clips, reason)
