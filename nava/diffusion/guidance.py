"""Condition-factorized guidance: text, audio-visual alignment and timbre each push the velocity by its own scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from torch import Tensor


class Pass(Enum):
    """One evaluation of the model under a choice of conditions."""

    CONDITIONAL = "conditional"
    NO_TEXT = "no_text"
    NO_ALIGNMENT = "no_alignment"
    NO_TIMBRE = "no_timbre"


class Guider(Protocol):
    """Names the passes it needs and combines their velocities."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Passes to run, the conditional one first where it is among them."""
        ...

    def combine(self, velocities: Mapping[Pass, Tensor]) -> Tensor:
        """The guided velocity."""
        ...


@dataclass(frozen=True)
class FactorizedGuider:
    """C + text (C - U) + align (C - M) + timbre (C - Z).

    C is the conditional pass, U the one without text, M with the modalities kept apart, Z without timbre. A term of
    scale 0 costs no pass, so that all zero is the unguided model.
    """

    text: float = 0.0
    align: float = 0.0
    timbre: float = 0.0

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The conditional pass, and one more for each scale that is not 0."""
        return (Pass.CONDITIONAL, *(away for away, scale in self._terms() if scale))

    def combine(self, velocities: Mapping[Pass, Tensor]) -> Tensor:
        """The guided velocity."""
        conditional = guided = velocities[Pass.CONDITIONAL]
        for away, scale in self._terms():
            if scale:
                guided = guided + scale * (conditional - velocities[away])
        return guided

    def _terms(self) -> tuple[tuple[Pass, float], ...]:
        return ((Pass.NO_TEXT, self.text), (Pass.NO_ALIGNMENT, self.align), (Pass.NO_TIMBRE, self.timbre))


@dataclass(frozen=True)
class ClassifierFreeGuider:
    """U + text (C - U): what the release uses when neither alignment nor timbre guidance is on.

    At scale 1 that is C and at scale 0 it is U: each costs one pass.
    """

    text: float

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The conditional pass unless the scale is 0, and the one without text unless it is 1."""
        alone = {1.0: (Pass.CONDITIONAL,), 0.0: (Pass.NO_TEXT,)}
        return alone.get(self.text, (Pass.CONDITIONAL, Pass.NO_TEXT))

    def combine(self, velocities: Mapping[Pass, Tensor]) -> Tensor:
        """The guided velocity."""
        if len(self.passes) == 1:
            return velocities[self.passes[0]]
        without = velocities[Pass.NO_TEXT]
        return without + self.text * (velocities[Pass.CONDITIONAL] - without)
