"""A dry run as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from nava.config.cluster import ClusterConfig
from nava.pages.formats import format_bytes
from nava.training.estimate.plan import DryRun
from nava.training.estimate.published import Comparison
from nava.training.estimate.workload import ClipShape, clip_shapes, mean_seconds

_WIDTH = 46
_DEFAULT = ClusterConfig()
_FLOP_UNITS = (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9))


def plan_lines(plan: DryRun) -> list[str]:
    """The whole plan, section by section."""
    sections = (_heading(plan), _parameters(plan), _memory(plan), _stages(plan), _total(plan))
    lines = [line for section in sections for line in (*section, "")]
    if plan.comparison is not None:
        lines += [*_published(plan.comparison, plan), ""]
    return [*lines, *_left_out(plan)]


def _heading(plan: DryRun) -> Iterator[str]:
    training, cluster, clip = plan.settings.training, plan.settings.cluster, plan.settings.clip
    shapes = clip_shapes(plan.settings)
    kept = "computed again" if training.activation_checkpointing else "kept"
    yield f"recipe {plan.recipe} on {cluster.nodes} x {cluster.gpus_per_node} {cluster.gpu}"
    yield f"  {training.precision}, ZeRO {training.zero_stage}, activations {kept}, {_sharing(plan)}"
    small, large = min(shapes, key=_size), max(shapes, key=_size)
    sizes = f"{large}" if len(shapes) == 1 else f"{len(shapes)} shapes from {small} to {large}"
    if cluster.gpu != _DEFAULT.gpu and (same := _unchanged(cluster)):
        yield f"  {cluster.gpu}: {', '.join(same)} are as of an {_DEFAULT.gpu}; set what differs"
    yield f"  clips: {sizes}; mean {mean_seconds(plan.settings):.1f} s at {clip.fps} frames/s"


def _unchanged(cluster: ClusterConfig) -> list[str]:
    """Speeds and sizes of a GPU that are as the default one has them."""
    names = ("gpu_memory_gib", "gpu_memory_gb_s", "peak_bf16_tflops", "peak_fp32_tflops", "intra_node_gb_s")
    return [f"cluster.{name}" for name in names if getattr(cluster, name) == getattr(_DEFAULT, name)]


def _sharing(plan: DryRun) -> str:
    settings = plan.settings
    share = settings.training.sequence_parallel
    text = f"{settings.data_groups} x {settings.accumulation} micro-batches a step"
    return text if share == 1 else f"{text}, each shared by {share} GPUs"


def _size(shape: ClipShape) -> int:
    return shape.frames * shape.height * shape.width


def _parameters(plan: DryRun) -> Iterator[str]:
    parameters = plan.parameters
    yield _row("parameters", "")
    for part, count in parameters.parts.items():
        yield _row(f"  {part}", f"{count:,}")
    yield _row("  model", f"{parameters.model:,}")
    if parameters.adapters:
        yield _row("  adapters", f"{parameters.adapters:,}")
    yield _row("  trained", f"{parameters.trained:,}")


def _memory(plan: DryRun) -> Iterator[str]:
    memory, largest = plan.memory, plan.largest
    tokens = largest.tokens
    yield "memory of a GPU with the largest micro-batch"
    yield f"  ({largest.clips} x {largest.task}: {tokens.video:,} video + {tokens.audio:,} audio tokens)"
    for part, size in memory.parts().items():
        if size:
            yield _row(f"  {part}", format_bytes(size))
    yield _row("  reserve (CUDA context, communication, gaps)", format_bytes(memory.reserve))
    yield _row(f"  peak, of {format_bytes(memory.capacity)}", format_bytes(memory.peak))


def _stages(plan: DryRun) -> Iterator[str]:
    yield "an optimizer step, all GPUs together" + "".join(f"{f'stage {stage.number}':>12}" for stage in plan.stages)
    steps = [stage.step for stage in plan.stages]
    yield _columns("video tokens", [f"{step.video_tokens:,.0f}" for step in steps])
    yield _columns("audio tokens", [f"{step.audio_tokens:,.0f}" for step in steps])
    yield _columns("clips", [f"{step.clips:,.0f}" for step in steps])
    unit, scale = _flop_unit(max(step.model_flops for step in steps))
    yield _columns(f"{unit}, forward and backward", [f"{step.model_flops / scale:,.1f}" for step in steps])
    yield _columns(f"{unit}, with what is computed again", [f"{step.executed_flops / scale:,.1f}" for step in steps])
    yield _columns("seconds of computation", [_seconds(step.compute_s) for step in steps])
    yield _columns("seconds of communication, beside it", [_seconds(step.traffic.hidden_s) for step in steps])
    yield _columns("seconds of communication, waited for", [_seconds(step.traffic.exposed_s) for step in steps])
    yield _columns("seconds of the optimizer", [_seconds(step.update_s) for step in steps])
    yield _columns("seconds a step", [_seconds(step.seconds) for step in steps])
    yield _columns("MFU", [f"{stage.mfu:.1%}" for stage in plan.stages])
    yield _columns("steps", [f"{stage.steps:,}" for stage in plan.stages])
    yield _columns("GPU-hours", [_hours(stage.gpu_hours) for stage in plan.stages])


def _total(plan: DryRun) -> Iterator[str]:
    cluster, cost = plan.settings.cluster, plan.cost_usd
    days = f"{plan.days:,.1f} days" if plan.days >= 1 else f"{plan.days * 24:,.2f} hours"
    yield f"all stages: {_hours(plan.gpu_hours)} GPU-hours, {days} on {cluster.gpus} {cluster.gpu}"
    if cost is None:
        yield "cost: no price; set cluster.price_usd_per_gpu_hour"
    else:
        yield f"cost: {cost:,.0f} USD at {cluster.price_usd_per_gpu_hour:.2f} USD per GPU-hour"


def _published(found: Comparison, plan: DryRun) -> Iterator[str]:
    published, cluster = found.published, plan.settings.cluster
    assumed, mfu = f"{cluster.assumed_mfu:.0%}", f"{found.implied_mfu:.1%}"
    yield f"published: {published.gpu_hours:,.0f} GPU-hours on {published.gpus} {published.gpu} ({published.source})"
    yield f"the estimate is {found.ratio:.2f} of it. What would explain the difference, each alone:"
    yield f"  utilisation: {found.implied_hardware_utilisation:.1%} of the peak (MFU {mfu}), not {assumed}"
    if found.seconds_that_explain is not None:
        yield (
            f"  longer clips: {found.seconds_that_explain:.1f} s, up to {found.tokens_that_explain:,} video tokens, "
            f"not {mean_seconds(plan.settings):.1f} s"
        )
    yield "in part:"
    yield f"  video in every micro-batch of all stages: {_hours(found.hours_all_audio_video)} GPU-hours"
    if published.gpus > cluster.gpus:
        trained = published.gpu_hours * cluster.gpus / published.gpus
        others = published.gpus - cluster.gpus
        yield f"  {others} of the {published.gpus} GPUs encoding media, not training: {_hours(trained)} left to explain"
        yield f"  both: the rest follows at {found.utilisation_if_both:.1%} of the peak"
    again = found.estimated_hours - found.hours_without_recomputation
    yield f"computing activations again is {_hours(again)} GPU-hours of the estimate"
    yield "not stated there: clip lengths and sizes, how the steps divide among the stages, failed and repeated runs"


def _left_out(plan: DryRun) -> Iterator[str]:
    assumed = plan.settings.cluster.assumed_mfu
    yield f"assumed: {assumed:.0%} of the peak while computing, all clip shapes equally common,"
    yield "  all GPUs equally busy. Left out: kernel launches, waiting for data, validation, checkpoints, failures."
    yield "Nothing was measured."
    if plan.settings.training.compile:
        yield "torch.compile keeps less and runs faster than is reckoned here."


def _row(name: str, value: str) -> str:
    return f"{name:<{_WIDTH}}{value:>16}".rstrip()


def _columns(name: str, values: list[str]) -> str:
    return f"  {name:<34}" + "".join(f"{value:>12}" for value in values)


def _flop_unit(most: float) -> tuple[str, float]:
    return next(((unit, scale) for unit, scale in _FLOP_UNITS if most >= scale), _FLOP_UNITS[-1])


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3f}"
