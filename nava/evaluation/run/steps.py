"""The pipeline steps `plan_benchmark`, `score_backends`, `aggregate_scores` and `check_coverage`.

The steps `generate_outputs` and `report_scores`, which ask the registry, are in `nava.registry`. Each step builds the
campaign anew from the configuration; between them pass handles. Features lie in the run's folder, where all share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nava.config.benchmark import BenchmarkConfig
from nava.runtime.errors import GateFailed, InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step

if TYPE_CHECKING:
    from nava.evaluation.benchmark.item import Item
    from nava.evaluation.extraction.feature_cache import FeatureCache
    from nava.evaluation.run.arm import Arm
    from nava.evaluation.run.campaign import Campaign
    from nava.evaluation.run.score import ScoringSettings

PLAN, OUTPUTS, SCORES, RESULT, REPORT, COVERAGE = (
    f"benchmark_{name}" for name in ("plan", "outputs", "scores", "result", "report", "coverage")
)
PLAN_FILE = "plan.json"
FOLDER = "benchmarks"


def benchmark_folder(config: BenchmarkConfig, run_dir: Path) -> Path:
    """Where the benchmark's data lie."""
    return Path(config.data).expanduser() if config.data else run_dir / FOLDER / Path(config.task).stem


def campaign_of(step: Step) -> Campaign:
    """What the configuration asks for. InputError: there is no such task, or its data are not there."""
    from nava.evaluation.benchmark.layouts import load_items
    from nava.evaluation.benchmark.task import load_task
    from nava.evaluation.run.arm import first_items
    from nava.evaluation.run.campaign import Campaign

    config = step.section(BenchmarkConfig)
    task = load_task(config.task)
    folder = benchmark_folder(config, step.run_dir)
    if task.layout == "builtin":
        folder.mkdir(parents=True, exist_ok=True)
    elif not config.data:
        raise InputError(f"benchmark.data is empty; give the folder of the data of {task.task_id}")
    return Campaign(
        task=task,
        items=tuple(first_items(load_items(task, folder), config.items)),
        benchmark=folder,
        seed=step.seed,
        baselines=tuple(config.baselines),
        images=config.images,
        voices=config.voices,
        generate_as=config.generate_as,
    )


def benchmark_identity(step: Step) -> str:
    """Task, items, and the content of every file that belongs to them."""
    from nava.runtime.hashing import sha256_file, sha256_json

    campaign = campaign_of(step)
    files = sorted({path for item in campaign.items for path in _files(item) if path.is_file()})
    return sha256_json([campaign.manifest_sha256, [[path.name, sha256_file(path)] for path in files]])


def _files(item: Item) -> Sequence[Path]:
    named = (item.first_frame, item.reference_audio, item.reference_voice)
    return [path for path in named if path is not None]


def plan_benchmark(step: Step) -> Handle:
    """Which items are asked, and which groups of backends score what comes of it.

    Returns:
        Handle of kind `benchmark_plan`; meta has `groups`, each with `name` and `backends`.

    Raises:
        InputError: wrong settings, or no metric of the task can be measured with what is configured.
    """
    from nava.evaluation.run.parts import backend_groups
    from nava.runtime.storage import write_json

    campaign = campaign_of(step)
    found = backend_groups(campaign.task, feature_cache(step).configured)
    if not found:
        raise InputError(
            f"no metric of {campaign.task.task_id} can be measured: its backends need weights, and benchmark.backends "
            "names a file that says where they are"
        )
    groups = [{"name": name, "backends": backends} for name, backends in found.items()]
    path = step.workdir / PLAN_FILE
    value = {
        "task": campaign.task.column,
        "manifest_sha256": campaign.manifest_sha256,
        "items": [item.item_id for item in campaign.items],
        "arms": list(campaign.arms),
        "groups": groups,
    }
    write_json(path, value)
    step.log(f"{campaign.task.title}: {len(campaign.items)} items; backends in groups {', '.join(found)}")
    return Handle.of_path(PLAN, path, groups=groups, items=len(campaign.items))


def weights_identity(step: Step) -> str:
    """What decides features beside the files: the backends and their weights; what an accident spoilt, anew.

    A backend's code counts by its version, as it does for the features that are kept.
    """
    from nava.evaluation.extraction.extractor import ENTRIES
    from nava.evaluation.run.parts import backend_groups
    from nava.runtime.hashing import sha256_file, sha256_json

    cache, campaign = feature_cache(step), campaign_of(step)
    names = sorted(name for group in backend_groups(campaign.task, cache.configured).values() for name in group)
    accidents = _accidents_file(step)
    return sha256_json(
        {
            "benchmark": benchmark_identity(step),
            "backends": {name: ENTRIES[name].missing() or cache.identity(name) for name in names},
            "accidents": sha256_file(accidents) if accidents.is_file() else "",
        }
    )


def score_backends(step: Step, outputs: Handle, *, backends: list[str]) -> Handle:
    """Features of these backends, and the rows and figures that come of them, for every arm.

    Args:
        step: the step.
        outputs: handle of kind `benchmark_outputs`.
        backends: one group.

    Returns:
        Handle of kind `benchmark_scores`; meta has the group's backends.
    """
    from nava.evaluation.run.parts import score_arms, write_part
    from nava.runtime.storage import write_json

    campaign = campaign_of(step)
    cache = feature_cache(step)
    arms = arms_of(outputs, campaign)
    scores = score_arms(campaign, arms, cache, scoring_settings(step), step.progress, backends)
    folder = step.workdir / "scores"
    write_part(folder, scores)
    # What cannot be measured is in the cache; what is not there went wrong by accident, and the next run tries again.
    accidents = {
        f"{wish.media.name} by {wish.backend}": reason
        for scored in scores.values()
        for wish, reason in scored.failures.items()
        if not cache.is_known(wish)
    }
    for what, reason in sorted(accidents.items()):
        step.log(f"{what}: {reason}")
    if accidents:
        write_json(_accidents_file(step), {"key": step.key, "accidents": accidents})
    return Handle.of_path(SCORES, folder, backends=backends, accidents=len(accidents))


def _accidents_file(step: Step) -> Path:
    return step.run_dir / FOLDER / "accidents" / f"{step.name}.json"


def aggregate_scores(step: Step, outputs: Handle, **scores: Handle) -> Handle:
    """The parts of all groups as one result for each arm.

    Args:
        step: the step.
        outputs: handle of kind `benchmark_outputs`.
        scores: handles of kind `benchmark_scores`, one for each group.

    Returns:
        Handle of kind `benchmark_result`: a folder laid out as that of `nava eval run`.

    Raises:
        InputError: parts overlap, or one is missing.
    """
    from nava.evaluation.run.parts import join_parts, read_part, write_results
    from nava.runtime.storage import atomic_folder

    campaign = campaign_of(step)
    arms = arms_of(outputs, campaign)
    parts = [read_part(handle.require(SCORES).path) for _, handle in sorted(scores.items())]
    joined = join_parts(campaign.task, campaign.arms, parts, feature_cache(step).configured)
    folder = step.workdir / "scored"
    with atomic_folder(folder) as part:
        write_results(campaign, arms, joined, part, scoring_settings(step))
    uncovered = {arm.name: [figure.column for figure in joined[arm.name].uncovered] for arm in arms}
    for arm in arms:
        for figure in joined[arm.name].figures:
            value = "no value" if figure.value is None else f"{figure.value:.4g} {figure.unit}".rstrip()
            step.log(f"{arm.label}: {figure.column}: {value}, {figure.n} of {figure.eligible} items")
    return Handle.of_path(RESULT, folder, uncovered=uncovered, arms=[arm.name for arm in arms])


def check_coverage(step: Step, report: Handle) -> Handle:
    """Let a run whose model has figures of too few items end as one that a gate refused; its page is written by now.

    Args:
        step: the step.
        report: handle of kind `benchmark_report`.

    Returns:
        Handle of kind `benchmark_coverage`; meta names the figures that fall short.

    Raises:
        GateFailed: a figure of the model has values for too few items, and that is not allowed.
    """
    from nava.evaluation.run.arm import MODEL

    short: list[str] = report.require(REPORT).meta["uncovered"].get(MODEL, [])
    if short and not step.section(BenchmarkConfig).allow_missing:
        raise GateFailed(f"too few items have a value: {'; '.join(short)}; benchmark.allow_missing=true lets it pass")
    step.log(f"figures of the model with too few values: {len(short)}")
    return Handle(COVERAGE, report.uri, report.sha256, {"short": short})


def arms_of(outputs: Handle, campaign: Campaign) -> list[Arm]:
    """What was made, arm by arm."""
    from nava.evaluation.run.arm import arm_folder, read_arm

    folder = outputs.require(OUTPUTS).path
    return [read_arm(arm_folder(folder, name)) for name in campaign.arms]


def feature_cache(step: Step) -> FeatureCache:
    """Features of the run's folder, with the backends that the configuration has weights for."""
    from nava.evaluation.extraction.feature_cache import FeatureCache
    from nava.evaluation.run.backend_file import read_backend_file

    config = step.section(BenchmarkConfig)
    settings = read_backend_file(Path(config.backends).expanduser()) if config.backends else None
    return FeatureCache(step.run_dir / "features", settings)


def scoring_settings(step: Step) -> ScoringSettings:
    """How the configuration wants outputs scored."""
    from nava.evaluation.run.score import ScoringSettings

    config = step.section(BenchmarkConfig)
    return ScoringSettings(workers=config.workers, timeout_s=config.timeout_s, min_coverage=config.min_coverage)
