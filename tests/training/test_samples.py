"""Samples on the way: shared by the processes, never the end of a training, and refused where none can make them."""

import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nava.runtime.errors import InputError
from nava.training.run_folder import read_events
from nava.training.samples import SampleMaker, Sampling, check_sampling
from nava.training.world import World
from tests.training.latents_in_memory import LatentsInMemory, tiny_training

SHARDS = LatentsInMemory(paired=2, audio_only=1)
IDS = ["p000", "s000", "p001"]


@dataclass
class Table:
    """Where threads that play processes meet; who waits in vain fails."""

    size: int
    barrier: threading.Barrier = field(init=False)
    said: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=10)

    def all_said(self, rank: int, value: Any) -> list[Any]:
        self.said[rank] = value
        self.barrier.wait()
        found = [self.said[other] for other in range(self.size)]
        self.barrier.wait()
        return found


class Seat(World):
    """One of the processes at a table."""

    def __init__(self, table: Table, rank: int) -> None:
        super().__init__(rank, table.size)
        object.__setattr__(self, "table", table)

    def from_leader(self, value: object) -> object:
        return self.table.all_said(self.rank, value)[0]  # type: ignore[attr-defined]

    def any_says(self, so: bool) -> bool:
        return any(self.table.all_said(self.rank, so))  # type: ignore[attr-defined]


class Maker(SampleMaker):
    """Makes no clip of a model: it takes as many steps of a sampler as the clip's number, and fails where told."""

    fails = ""
    made: tuple[str, ...] = ()

    def _clip(self, model: Any, clip_id: str, number: int) -> Any:
        for done in range(5 * number):
            self._still_at_it(done, 5 * number)
        if clip_id == self.fails:
            raise RuntimeError(f"the codec\ncannot decode {clip_id}")
        self.made += (clip_id,)
        return SimpleNamespace(frames=None, write=lambda path, upscale: path.write_text(clip_id))


def made_by(folder: Path, processes: int, fails: str = "") -> tuple[list[Maker], list[str]]:
    table, lines = Table(processes), list[str]()
    sampling = Sampling(Path("none"))
    makers = [Maker(sampling, SHARDS, IDS, folder, Seat(table, rank), lines.append) for rank in range(processes)]
    for maker in makers:
        maker.fails = fails
    threads = [
        threading.Thread(target=maker.make, args=(SimpleNamespace(model=SimpleNamespace(parameters=list)), 7))
        for maker in makers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return makers, lines


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_processes_share_the_clips_and_one_lists_them(tmp_path: Path, processes: int) -> None:
    makers, lines = made_by(tmp_path, processes)
    assert sorted(clip for maker in makers for clip in maker.made) == sorted(IDS)
    assert max(len(maker.made) for maker in makers) == -(-len(IDS) // processes)
    step = "samples/step-00000007"
    files = ["0.mp4", "1.wav", "2.mp4"]
    assert names_in(tmp_path) == [
        "events.jsonl",
        "samples",
        step,
        *(f"{step}/{name}" for name in [*files, "samples.json"]),
    ]
    listed = json.loads((tmp_path / step / "samples.json").read_text())
    assert [(item["file"], item["clip"]) for item in listed] == list(zip(files, IDS, strict=True))
    assert [item["seed"] for item in listed] == [listed[0]["seed"] + number for number in range(3)]
    assert [event["files"] for event in read_events(tmp_path)] == [files]
    assert lines == [f"samples of step 7: {tmp_path / step}"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_clip_that_cannot_be_made_costs_itself_and_a_warning(tmp_path: Path, processes: int) -> None:
    _, lines = made_by(tmp_path, processes, fails="s000")
    step = tmp_path / "samples" / "step-00000007"
    assert [item["clip"] for item in json.loads((step / "samples.json").read_text())] == ["p000", "p001"]
    assert lines == [
        "warning: samples of step 7: the codec cannot decode s000",
        f"samples of step 7: {step}; 1 could not be made",
    ]
    assert [event["event"] for event in read_events(tmp_path)] == ["warning", "samples"]


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("in the way")
    makers, lines = made_by(tmp_path, 2)
    assert not any(maker.made for maker in makers)
    assert len(lines) == 1
    assert lines[0].startswith("warning: samples of step 7: [Errno ")


@pytest.mark.parametrize(
    ("changes", "world", "named"),
    [
        ({"zero_stage": 3}, World(size=2), "training.zero_stage=3 in 2 processes"),
        ({"sequence_parallel": 2}, World(size=4, sequence_parallel=2), "training.sequence_parallel=2 in 4 processes"),
    ],
)
def test_one_process_that_does_not_hold_the_model_makes_no_samples(changes: dict, world: World, named: str) -> None:
    config = replace(tiny_training(sample_every_steps=10), **changes)
    with pytest.raises(InputError, match=named):
        check_sampling(config, world)
    check_sampling(replace(config, sample_every_steps=0), world)


@pytest.mark.parametrize(("zero_stage", "size"), [(2, 2), (3, 1), (0, 1)])
def test_where_it_does_they_are_made(zero_stage: int, size: int) -> None:
    check_sampling(tiny_training(sample_every_steps=10, zero_stage=zero_stage), World(size=size))
