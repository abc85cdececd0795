"""The kinds of case there are, each with what recognises it and what computes it here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nava.evaluation.parity import bf16, forward, guidance, rope, sampler, sampling_run, training
from nava.evaluation.parity.comparison import Pair
from nava.evaluation.parity.golden_set import Case, GoldenSet


@dataclass(frozen=True)
class Family:
    """One kind of case.

    Attributes:
        name: shown in the report.
        recognise: whether a file is of this kind, by its tensors and meta.
        compute: this code's answer to each tensor of the file that is not an input.
        inputs: prefixes of the tensors that are given, not computed.
    """

    name: str
    recognise: Callable[[Case], bool]
    compute: Callable[[Case, GoldenSet], Iterator[Pair]]
    inputs: tuple[str, ...]


FAMILIES = (
    Family("forward", forward.recognise, forward.compute, forward.INPUTS),
    Family("bf16", bf16.recognise, bf16.compute, bf16.INPUTS),
    Family("rope", rope.recognise, rope.compute, rope.INPUTS),
    Family("sampler", sampler.recognise, sampler.compute, sampler.INPUTS),
    Family("guidance", guidance.recognise, guidance.compute, guidance.INPUTS),
    Family("sampling run", sampling_run.recognise, sampling_run.compute, sampling_run.INPUTS),
    Family("training", training.recognise, training.compute, training.INPUTS),
)


def family_of(case: Case) -> Family | None:
    """The kind of a case; None if no kind knows it."""
    return next((family for family in FAMILIES if family.recognise(case)), None)
