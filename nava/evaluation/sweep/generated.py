"""Clips of a sweep made by a model, as `nava generate --requests` makes them: what is finished is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nava.evaluation.benchmark.item import Item
from nava.evaluation.run.requests import write_requests
from nava.evaluation.sweep.sweep import Asked, Variant
from nava.runtime.hashing import sha256_json

if TYPE_CHECKING:
    from nava.generation.pipeline import Generator, OnStep

REQUESTS_FILE = "requests.jsonl"


class GeneratedClips:
    """Makes the clips of a variant with a model.

    Args:
        generator: of the package.
        asked: how items become requests.
        tell: is told each item's outcome.
        on_step: is told of each sampling step.
    """

    def __init__(
        self, generator: Generator, asked: Asked, tell: Callable[[str], None], on_step: OnStep | None = None
    ) -> None:
        self._generator = generator
        self._asked = asked
        self._tell = tell
        self._on_step = on_step

    @property
    def identity(self) -> str:
        """Hash of the model and of the settings that variants leave alone."""
        origin = self._generator.origin
        return sha256_json(
            {
                "package_sha256": origin.package_sha256,
                "weights_sha256": origin.weights_sha256,
                "precision": origin.precision,
                "sampler": asdict(self._generator.sampler),
                "asked": asdict(self._asked),
            }
        )

    @property
    def model(self) -> str:
        """The package's name."""
        return self._generator.origin.name or "package"

    def __call__(self, variant: Variant, seed: int, items: Sequence[Item], folder: Path) -> Mapping[str, str]:
        """Make what is missing in the folder; reasons of items that could not be made."""
        from nava.generation.batch import BatchLine, read_batch, run_batch
        from nava.generation.request import Request, parse_task

        asked = self._asked
        path = folder.parent / REQUESTS_FILE
        write_requests(path, items, seed, with_image=asked.image, with_voice=asked.voice)
        task = parse_task(asked.task) if asked.task else None
        seconds = None if asked.seconds is None else float(asked.seconds)
        lines = read_batch(path, Request(prompt="", task=task, seconds=seconds))
        sampler = variant.overrides().apply(self._generator.sampler)
        lines = [
            line if line.request is None else replace(line, request=replace(line.request, sampler=sampler))
            for line in lines
        ]
        folder.mkdir(parents=True, exist_ok=True)

        def on_line(line: BatchLine, outcome: str) -> None:
            self._tell(f"{variant.name}, seed {seed}, {line.name}: {outcome}")

        result = run_batch(lines, self._generator, folder, on_line=on_line, on_step=self._on_step)
        names = {line.number: line.name for line in lines}
        return {names[number]: reason for number, reason in (result.refused | result.failed).items()}
