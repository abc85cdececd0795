"""What comes back of rewriting: the structured prompt, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nava.conditioning.prompt import StructuredPrompt
from nava.runtime.errors import NavaError


class RewriteError(NavaError):
    """A prompt that could not be rewritten although there is nothing wrong with it; others may be."""


@dataclass(frozen=True)
class Maker:
    """Who made a prompt.

    Attributes:
        name: `rules`, `given` for a prompt that was structured already, or the endpoint's API.
        version: of the rules, or of the words that the model is told.
        model: behind an endpoint; empty for the others.
        proven: whether this code has ever run against the real model.
    """

    name: str
    version: str
    model: str = ""
    proven: bool = True

    def __str__(self) -> str:
        """For people: `openai:model 1 (unproven)`."""
        name = f"{self.name}:{self.model}" if self.model else self.name
        return f"{name} {self.version}{'' if self.proven else ' (unproven)'}"

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {"name": self.name, "version": self.version, "model": self.model, "proven": self.proven}


@dataclass(frozen=True)
class RewriteResult:
    """A rewritten prompt.

    Attributes:
        prompt: the parts; its ``render()`` is what generation takes.
        made_by: whose words these are.
        fell_back_from: who was asked first and could not; None where there was no need.
        questions: how often a model was asked, answers from the cache included.
        problems: what was wrong on the way, and what a reader should know of the prompt.
        seconds: how long it took; does not count when results are compared.
    """

    prompt: StructuredPrompt
    made_by: Maker
    fell_back_from: Maker | None = None
    questions: int = 0
    problems: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def text(self) -> str:
        """The prompt as generation takes it."""
        return self.prompt.render()

    @property
    def fell_back(self) -> bool:
        """Whether another rewriter than the one that was asked made it."""
        return self.fell_back_from is not None

    def to_json(self) -> dict[str, Any]:
        """The record that lies beside the prompt."""
        return {
            "made_by": self.made_by.to_json(),
            "fell_back_from": None if self.fell_back_from is None else self.fell_back_from.to_json(),
            "questions": self.questions,
            "problems": list(self.problems),
            "seconds": round(self.seconds, 3),
        }
