"""A campaign of seconds: five items in two subsets, asked of the tiny package of the tests of generation."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nava.artifacts.model_package import ModelPackage, load_unsigned
from nava.evaluation.benchmark.item import Item
from nava.evaluation.run.campaign import Campaign, EvaluatedModel
from nava.evaluation.run.model import package_model
from nava.generation.loading import load_generator
from nava.generation.pipeline import Generator
from nava.generation.request import SamplerOverrides
from tests.evaluation.benchmark_items import a_task, clip

METRICS = ("flicker", "silence_share", "fd.frechet_lite")
PROMPTS = {
    "one-0": "It rains.",
    "one-1": "A dog barks.",
    "one-2": "<S>unfinished",
    "two-0": "Wind.",
    "two-1": "A bell.",
}


def quietly(things: Iterable[Any], _total: int, _label: str) -> Iterable[Any]:
    return things


def a_campaign(data: Path, *baselines: str, **changes: Any) -> Campaign:
    """One item asks for what no model can do: its speech does not end."""
    items = []
    for number, (name, prompt) in enumerate(PROMPTS.items()):
        true = data / "media" / f"{name}.mp4"
        if not true.is_file():
            clip(true, number)
        items.append(Item(name, name.partition("-")[0], prompt, reference_audio=true))
    task = replace(a_task(*METRICS), layout="builtin")
    return Campaign(task, tuple(items), data, baselines=baselines, **changes)


def a_model(folder: Path, loaded: list[str] | None = None, steps: int | None = None) -> EvaluatedModel:
    """The model of a package; `loaded` is told when its weights are read."""

    def load(package: ModelPackage) -> Generator:
        if loaded is not None:
            loaded.append(package.sha256)
        return load_generator(package)

    import torch

    made: Callable[[ModelPackage], Generator] = load
    return package_model(load_unsigned(folder), made, SamplerOverrides(steps=steps), "tiny", torch.float32)
