"""A campaign: a benchmark's items asked of a model, its baselines made beside them, and all of it scored.

Every stage finds what is finished: clips by their sidecars, arms by what they were made from, features by content. A
process that is killed loses the clip or the file it was at.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nava.evaluation.benchmark.item import Item
from nava.evaluation.benchmark.task import Task, manifest_sha256
from nava.evaluation.run.arm import (
    MODEL,
    SHUFFLED,
    TRUTH,
    UNTRAINED,
    Arm,
    arm_folder,
    check_baselines,
    finished_arm,
    write_arm,
)
from nava.evaluation.run.requests import write_requests
from nava.evaluation.run.shuffled import shuffle_clip, sound_partners
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import atomic_file

if TYPE_CHECKING:
    from nava.generation.batch import BatchLine
    from nava.generation.pipeline import Generator, OnStep

REQUESTS_FILE = "requests.jsonl"
_REFERENCES = ("first_frame", "reference_voice")


@dataclass(frozen=True)
class Campaign:
    """What is asked for.

    Attributes:
        task: the benchmark.
        items: of it, those that are asked.
        seed: of the clips' noise, of the untrained weights and of who gets whose sound.
        baselines: names of `BASELINES` that stand beside the model.
        images: whether the model is given the items' first frames.
        voices: whether it is given their reference voices.
        generate_as: task of every request (``T2A``, say); empty to let the request decide.
        benchmark: folder of the benchmark's data; the true clips are taken from it.
    """

    task: Task
    items: tuple[Item, ...]
    benchmark: Path
    seed: int = 0
    baselines: tuple[str, ...] = ()
    images: bool = True
    voices: bool = True
    generate_as: str = ""

    def __post_init__(self) -> None:
        check_baselines(self.task, self.baselines)

    @property
    def arms(self) -> tuple[str, ...]:
        """The model and its baselines, in the order of the report."""
        return (MODEL, *(name for name in (UNTRAINED, SHUFFLED, TRUTH) if name in self.baselines))

    @property
    def manifest_sha256(self) -> str:
        """Identity of the task and of these items."""
        return manifest_sha256(self.task, self.items)


@dataclass(frozen=True)
class EvaluatedModel:
    """A model that need not be loaded to be known.

    Attributes:
        name: what its row is called.
        identity: of everything that decides its clips besides the requests: package, sampler, number format.
        load: makes the generator, with the sampler settings that the campaign wants.
        package_sha256: of the package that it is; None if it is none.
    """

    name: str
    identity: str
    load: Callable[[], Generator]
    package_sha256: str | None = None


Tell = Callable[[str], None]


def make_outputs(
    campaign: Campaign, model: EvaluatedModel, out: Path, tell: Tell, on_step: OnStep | None = None
) -> list[Arm]:
    """Make the clips of every arm that are not there yet.

    Args:
        campaign: what is asked for.
        model: is loaded only if a clip has to be generated.
        out: folder; ``requests.jsonl`` and, for each arm, ``outputs/`` and ``outputs.json`` go there.
        tell: told in words what is found and what is done.
        on_step: told of each sampling step.
    """
    requests = out / REQUESTS_FILE
    write_requests(requests, campaign.items, campaign.seed, with_image=campaign.images, with_voice=campaign.voices)
    load = cache(model.load)
    arms: dict[str, Arm] = {}
    for name in campaign.arms:
        folder = arm_folder(out, name)
        key = _key(campaign, name, requests, model, arms.get(MODEL))
        label = model.name if name == MODEL else f"{model.name}, {name}" if name != TRUTH else TRUTH
        arm = Arm(name, label, folder, {}, package_sha256=model.package_sha256 if name == MODEL else None)
        if (found := finished_arm(folder, key)) is not None and found.label == label:
            tell(f"{label}: all {len(found.files)} outputs are there")
            arms[name] = found
            continue
        if name in (MODEL, UNTRAINED):
            arms[name] = _generated(campaign, arm, requests, load, tell, on_step)
        else:
            arms[name] = _shuffled(campaign, arm, arms[MODEL]) if name == SHUFFLED else _true(campaign, arm)
            tell(f"{label}: {len(arms[name].files)} of {len(campaign.items)} outputs")
        write_arm(arms[name], key)
    return list(arms.values())


def _key(campaign: Campaign, name: str, requests: Path, model: EvaluatedModel, own: Arm | None) -> str:
    """Everything that decides an arm's outputs."""
    if name == TRUTH:
        return sha256_json([name, campaign.manifest_sha256, str(campaign.benchmark.resolve())])
    if name == SHUFFLED:
        assert own is not None
        made = {item: sha256_file(path) for item, path in own.files.items()}
        return sha256_json([name, campaign.seed, {item.item_id: item.subset for item in campaign.items}, made])
    files = {_given(item, reference) for item in campaign.items for reference in _REFERENCES}
    contents = {str(path): sha256_file(path) for path in files if path is not None and path.is_file()}
    return sha256_json([name, model.identity, sha256_file(requests), contents, campaign.generate_as])


def _given(item: Item, reference: str) -> Path | None:
    path: Path | None = getattr(item, reference)
    return path


def _generated(
    campaign: Campaign,
    arm: Arm,
    requests: Path,
    load: Callable[[], Generator],
    tell: Tell,
    on_step: OnStep | None,
) -> Arm:
    from nava.evaluation.run.untrained import untrained
    from nava.generation.batch import read_batch, run_batch
    from nava.generation.request import Request, parse_task

    defaults = Request("", task=parse_task(campaign.generate_as) if campaign.generate_as else None)
    lines = read_batch(requests, defaults)
    generator = load() if arm.name == MODEL else untrained(load(), campaign.seed)
    lines = [
        line if line.request is None else replace(line, request=replace(line.request, sampler=generator.sampler))
        for line in lines
    ]

    def told(line: BatchLine, outcome: str) -> None:
        tell(f"{arm.label}: {line.name}: {outcome}")

    result = run_batch(lines, generator, arm.outputs, on_line=told, on_step=on_step)
    # Lines are the items in their order, whatever name a line could be given.
    names = {line.number: item.item_id for line, item in zip(lines, campaign.items, strict=True)}
    reasons = {names[number]: f"the model refused the request: {why}" for number, why in result.refused.items()}
    failed = {names[number]: f"generation failed: {why}" for number, why in result.failed.items()}
    files = {names[number]: path for number, path in (result.skipped | result.written).items()}
    return replace(arm, files=files, reasons=reasons | failed, accidents=tuple(failed))


def _shuffled(campaign: Campaign, arm: Arm, own: Arm) -> Arm:
    files: dict[str, Path] = {}
    reasons = {item: f"there is no clip to give another sound: {why}" for item, why in own.reasons.items()}
    partners = sound_partners(campaign.items, own.files, campaign.seed)
    for item, path in sorted(own.files.items()):
        if item not in partners:
            reasons[item] = "its subset has no other clip, whose sound it could be given"
            continue
        target = arm.outputs / f"{item}{path.suffix}"
        try:
            shuffle_clip(path, own.files[partners[item]], target)
        except InputError as error:
            reasons[item] = str(error)
            continue
        files[item] = target
    return replace(arm, files=files, reasons=reasons)


def _true(campaign: Campaign, arm: Arm) -> Arm:
    from nava.evaluation.benchmark.builtin import MEDIA

    files: dict[str, Path] = {}
    for item in campaign.items:
        source = campaign.benchmark / MEDIA / f"{item.item_id}.mp4"
        target = arm.outputs / source.name
        if not target.is_file() or sha256_file(target) != sha256_file(source):
            with atomic_file(target) as part:
                shutil.copyfile(source, part)
        files[item.item_id] = target
    return replace(arm, files=files)


def planned_lines(campaign: Campaign, out: Path) -> list[str]:
    """What is going to be done, and what of it is there already."""
    counts: dict[str, int] = {}
    for item in campaign.items:
        counts[item.subset] = counts.get(item.subset, 0) + 1
    subsets = ", ".join(f"{subset} {count}" for subset, count in sorted(counts.items()))
    lines = [f"{campaign.task.title}: {len(campaign.items)} items ({subsets}), {len(campaign.task.metrics)} metrics"]
    for name in campaign.arms:
        outputs = Arm(name, "", arm_folder(out, name), {}).outputs
        there = sum(any(outputs.glob(f"{item.item_id}.[mw][pa][4v]")) for item in campaign.items)
        lines.append(f"{name}: {there} of {len(campaign.items)} outputs are there")
    return lines
