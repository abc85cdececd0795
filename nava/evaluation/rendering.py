"""Make the clips of the plan, measure them, and keep those of the gallery; a finished batch is never made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from nava.evaluation.evidence import Sample
from nava.evaluation.measures import Measures, measure
from nava.evaluation.plan import Request
from nava.generation.pipeline import GeneratedClip
from nava.runtime.storage import read_json, write_json

MakeClips = Callable[[Sequence[Request]], Sequence[GeneratedClip]]
"""Clips for requests of one variant, in their order."""


@dataclass(frozen=True)
class Batch:
    """Requests of one variant that are made together; ``name`` is its file's name."""

    name: str
    variant: str
    requests: tuple[Request, ...]


def batches(requests: Iterable[Request], size: int) -> Iterator[Batch]:
    """Cut the plan into batches of one variant each, in the order of the plan."""
    by_variant = sorted(requests, key=lambda request: request.variant)
    for variant, group in groupby(by_variant, key=lambda request: request.variant):
        members = tuple(group)
        for start in range(0, len(members), size):
            yield Batch(f"{variant}-{start:05d}", variant, members[start : start + size])


@dataclass(frozen=True)
class Renderer:
    """Turns batches into samples.

    Attributes:
        makers: by variant, what makes its clips.
        folder: keeps finished batches (`batches/`) and the gallery (`clips/`) across attempts.
        zoom: factor by which the pixels of gallery clips are repeated.
    """

    makers: Mapping[str, MakeClips]
    folder: Path
    zoom: int

    def clip_path(self, request: Request) -> Path:
        """Where a gallery clip is kept."""
        return self.folder / "clips" / f"{request.sample_id}.mp4"

    def render(self, batch: Batch) -> list[Sample]:
        """The samples of a batch, made now or found from an earlier attempt."""
        path = self.folder / "batches" / f"{batch.name}.json"
        if not path.is_file():
            # Gallery clips first: a batch that is there has all of its clips.
            write_json(path, self._make(batch))
        found: dict[str, Any] = read_json(path)
        return [Sample(request, Measures.from_dict(found[request.sample_id])) for request in batch.requests]

    def _make(self, batch: Batch) -> dict[str, Any]:
        clips = self.makers[batch.variant](batch.requests)
        if len(clips) != len(batch.requests):
            raise RuntimeError(f"variant {batch.variant}: {len(batch.requests)} clips wanted, {len(clips)} made")
        measured = {}
        for request, clip in zip(batch.requests, clips):
            assert clip.frames is not None
            assert clip.samples is not None
            if request.gallery:
                clip.write(self.clip_path(request), upscale=self.zoom)
            fps = round(clip.fps)
            measured[request.sample_id] = measure(clip.frames, clip.samples, clip.sample_rate, fps).to_dict()
        return measured
