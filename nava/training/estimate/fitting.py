"""Whether a run fits into its GPUs; if not, what is too large and which settings would make it fit."""

from __future__ import annotations

from collections.abc import Iterator

from nava.runtime.errors import InputError
from nava.training.estimate.memory import GIB, Memory, memory_of
from nava.training.estimate.parameters import count_parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import largest_micro_batch

_SHARES = (2, 4, 8)


def require_fit(settings: RunSettings, memory: Memory) -> None:
    """Refuse a run that does not fit.

    Raises:
        InputError: says how much is needed, of what most, and which settings would make it fit.
    """
    if memory.fits:
        return
    cluster, largest = settings.cluster, memory.largest()
    raise InputError(
        f"does not fit: {_gib(memory.peak)} per GPU, but an {cluster.gpu} has {_gib(memory.capacity)}; the largest "
        f"part is {largest}, {_gib(memory.parts()[largest])}; {_advice(settings)}"
    )


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def _advice(settings: RunSettings) -> str:
    fitting = [words for words, changed in _alternatives(settings) if _needed(changed).fits]
    if fitting:
        return f"it would fit with {' or with '.join(fitting)}"
    found = _combined(settings)
    if found is not None:
        return f"it would fit with {found}"
    further = "" if settings.training.lora.rank else ", or adapters (training.lora)"
    return f"no setting makes it fit: take more or larger GPUs, shorter or smaller clips{further}"


def _alternatives(settings: RunSettings) -> Iterator[tuple[str, RunSettings]]:
    """Settings with one change, the cheapest in time first, and how to write the change."""
    training = settings.training
    if training.micro_batch_size > 1 and not settings.loader.max_tokens:
        # As many clips in a step as before.
        number = training.micro_batches_per_step * training.micro_batch_size
        words = f"training.micro_batch_size=1 training.micro_batches_per_step={number}"
        yield words, settings.with_training(micro_batch_size=1, micro_batches_per_step=number)
    # Blocks of ZeRO 3 cannot be compiled.
    for stage in range(training.zero_stage + 1, 3 if training.compile else 4):
        if settings.cluster.gpus > 1:
            yield f"training.zero_stage={stage}", settings.with_training(zero_stage=stage)
    if not training.activation_checkpointing:
        yield "training.activation_checkpointing=true", settings.with_training(activation_checkpointing=True)
    for share in _SHARES:
        if share > training.sequence_parallel and _shareable(settings, share):
            yield f"training.sequence_parallel={share}", settings.with_training(sequence_parallel=share)
    if training.precision == "fp32":
        stage = max(training.zero_stage, 1)
        words = "training.precision=bf16" + (f" training.zero_stage={stage}" if not training.zero_stage else "")
        yield words, settings.with_training(precision="bf16", zero_stage=stage)


def _shareable(settings: RunSettings, share: int) -> bool:
    return settings.cluster.gpus_per_node % share == 0 and settings.model.num_heads % share == 0


def _combined(settings: RunSettings) -> str | None:
    """Change after change, each time the one that saves most, until it fits; None if it never does."""
    changes: list[str] = []
    while True:
        best = min(_alternatives(settings), key=lambda each: _needed(each[1]).peak, default=None)
        if best is None or _needed(best[1]).peak >= _needed(settings).peak:
            return None
        changes.append(best[0])
        settings = best[1]
        if _needed(settings).fits:
            return " ".join(changes)


def _needed(settings: RunSettings) -> Memory:
    parameters = count_parameters(settings.model, settings.training.lora)
    return memory_of(settings, parameters, largest_micro_batch(settings))
