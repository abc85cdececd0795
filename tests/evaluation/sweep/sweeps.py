"""Small sweeps, and clips of them made without a model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction.unit import Extracted, ExtractionUnit, extract
from nava.evaluation.run import score
from nava.evaluation.sweep.run import Cell
from nava.evaluation.sweep.sweep import Sweep, Variant, parse_sweep
from tests.evaluation.benchmark_items import clip
from tests.evaluation.run.results import a_result

VALUE: dict[str, Any] = {
    "schema_version": 1,
    "id": "small",
    "title": "Small",
    "task": "tiny",
    "seeds": [0, 1],
    "baseline": "off",
    "variants": {"off": {"guidance.video_align": 0}, "on": {"guidance.video_align": 2}},
    "layout": [{"block": "align", "without": "off", "with": "on"}],
}


def small_sweep(**changes: Any) -> Sweep:
    return parse_sweep({**VALUE, **changes}, "small.yaml", "a" * 64)


class DrawnClips:
    """A maker whose clips flash once for every unit of `video_align`, and which keeps what is there."""

    model = "drawn"

    def __init__(self, identity: str = "one", fails: Mapping[str, str] | None = None) -> None:
        self.identity = identity
        self.fails = dict(fails or {})
        self.made: list[tuple[str, int, str]] = []

    def __call__(self, variant: Variant, seed: int, items: Sequence[Item], folder: Path) -> Mapping[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        flashes = (0.2, 0.5, 0.8, 1.1)[: 1 + int(variant.settings["video_align"])]
        for number, item in enumerate(items):
            path = folder / f"{item.item_id}.mp4"
            if item.item_id not in self.fails and not path.exists():
                clip(path, 10 * number + seed, events_s=flashes)
                self.made.append((variant.name, seed, item.item_id))
        return self.fails


def cells_of(
    folder: Path, values: Mapping[str, Mapping[int, Mapping[str, Mapping[str, float | None]]]], **changes: Any
) -> list[Cell]:
    """Cells with these values by variant, seed, column and item."""
    return [
        Cell(variant, seed, a_result(folder / variant / str(seed), columns, **changes), {}, kept=False)
        for variant, by_seed in values.items()
        for seed, columns in by_seed.items()
    ]


@contextmanager
def extracting_here() -> Iterator[None]:
    """Features extracted in this process: worker processes have tests of their own, and here would only cost time."""

    def extract_all(units: list[ExtractionUnit], *_: object) -> Iterator[tuple[ExtractionUnit, list[Extracted]]]:
        return ((unit, extract(unit)) for unit in units)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "extract_all", extract_all)
        yield
