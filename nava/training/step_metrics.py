"""What is measured of an optimizer step, over all processes, and the file that has it: one JSON object per line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nava.data.loader.sampler import SampledBatch
from nava.data.loader.tasks import Task
from nava.diffusion.loss import LossTerms
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_text
from nava.training.micro_batches import MicroBatch
from nava.training.run_folder import read_rows

# Bands of the noise level, by their upper ends.
BANDS = {"low": 0.25, "middle": 0.5, "high": 0.75, "noise": 1.0}
_TASKS = tuple(Task)
_MODALITIES = ("video", "audio")
# Samples, and of how many the text and the modalities' sight of each other were dropped, and an image given; voices,
# and how many were dropped, and how many replaced by that of another clip.
_DRAWS = ("samples", "text_dropped", "masked", "with_image", "voices", "voice_dropped", "voice_replaced")
_SHARES = {
    "text_dropped": "samples",
    "masked": "samples",
    "with_image": "samples",
    "voice_dropped": "voices",
    "voice_replaced": "voices",
}


class StepTally:
    """Sums over the micro-batches of a step, in one tensor that processes can add up."""

    def __init__(self) -> None:
        self._errors_TBMX = torch.zeros(len(_TASKS), len(BANDS), len(_MODALITIES), 2, dtype=torch.float64)
        self._draws_X = torch.zeros(len(_DRAWS), dtype=torch.float64)
        self._batches: list[Tensor] = []

    def add(self, batch: MicroBatch, terms: LossTerms) -> None:
        """Count a micro-batch."""
        task = _TASKS.index(batch.task)
        assert terms.sigmas is not None
        band_B = torch.bucketize(terms.sigmas.cpu(), torch.tensor(list(BANDS.values())[:-1]))
        for place, error_B in enumerate((terms.video_errors, terms.audio_errors)):
            if error_B is not None:
                errors = error_B.detach().double().cpu()
                self._errors_TBMX[task, :, place, 0].index_add_(0, band_B, errors)
                self._errors_TBMX[task, :, place, 1].index_add_(0, band_B, torch.ones_like(errors))
        flags = [batch.text_dropped, batch.masked, batch.with_image]
        counts = [len(batch.ids), *(int(found.sum()) for found in flags), 0, 0, 0]
        if batch.voice_dropped is not None and batch.voice_replaced is not None:
            counts[-3:] = [len(batch.voice_dropped), int(batch.voice_dropped.sum()), int(batch.voice_replaced.sum())]
        self._draws_X += torch.tensor(counts, dtype=torch.float64)
        none = torch.tensor(float("nan"))
        parts = [
            terms.total,
            none if terms.video is None else terms.video,
            none if terms.audio is None else terms.audio,
        ]
        self._batches.append(torch.stack([part.detach().cpu().double() for part in parts]))

    def losses(self) -> Tensor:
        """[micro-batches, 3]: total, video and audio loss of this process's micro-batches; NaN where there is none."""
        return torch.stack(self._batches)

    def vector(self) -> Tensor:
        """All sums as one vector."""
        return torch.cat([self._errors_TBMX.flatten(), self._draws_X])


def by_name(vector: Tensor) -> dict[str, float]:
    """Mean errors by task, modality and band, and shares of what was dropped, from all processes' sum."""
    draws = dict(zip(_DRAWS, vector[-len(_DRAWS) :].tolist(), strict=True))
    errors_TBMX = vector[: -len(_DRAWS)].view(len(_TASKS), len(BANDS), len(_MODALITIES), 2)
    found: dict[str, float] = {}

    def put(name: str, sums_X: Tensor) -> None:
        total, count = sums_X.tolist()
        if count:
            found[name] = total / count

    for place, modality in enumerate(_MODALITIES):
        put(f"loss_{modality}", errors_TBMX[:, :, place].sum((0, 1)))
        for number, band in enumerate(BANDS):
            put(f"loss_{modality}_{band}", errors_TBMX[:, number, place].sum(0))
    for (number, task), (place, modality) in product(enumerate(_TASKS), enumerate(_MODALITIES)):
        put(f"loss_{task.value}_{modality}", errors_TBMX[number, :, place].sum(0))
    return found | {f"{name}_share": draws[name] / draws[of] for name, of in _SHARES.items() if draws[of]}


def batches_hash(batches: Sequence[SampledBatch]) -> str:
    """What tells whether two runs saw the same clips in a step."""
    return sha256_json([[batch.number, batch.task.value, list(batch.ids)] for batch in batches])[:16]


@dataclass
class StepClock:
    """Where the time of a step goes.

    Attributes:
        wait_s: waiting for data.
    """

    wait_s: float = 0.0

    def __post_init__(self) -> None:
        self._since = time.monotonic()

    def row(self, tokens: int, samples: int) -> dict[str, float]:
        """Seconds and rates of the step that ends now; `time` is seconds since the epoch."""
        seconds = max(time.monotonic() - self._since, 1e-9)
        found = {
            "time": round(time.time(), 3),
            "step_s": round(seconds, 6),
            "data_wait_s": round(self.wait_s, 6),
            "tokens_per_s": round(tokens / seconds, 1),
            "samples_per_s": round(samples / seconds, 3),
        }
        if torch.cuda.is_available():
            found["gpu_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
        return found


class MetricsLog:
    """The file of the rows of a stage, appended to step by step."""

    def __init__(self, path: Path, done: int) -> None:
        """Open it after `done` steps: what a killed run wrote beyond its last checkpoint is taken away."""
        kept = [row for row in read_rows(path) if row["step"] <= done]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = path.open("a", buffering=1)

    def write(self, row: dict[str, Any]) -> None:
        """Append a row; floats in full precision."""
        self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """To disk."""
        os.fsync(self._file.fileno())
        self._file.close()
