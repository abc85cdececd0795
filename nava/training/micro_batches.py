"""What a micro-batch is trained with: its clips from the loader, and the dropouts and noise that are drawn for it.

Everything is drawn from generators seeded by (seed, stage, number), so there is no state to save: a resumed run asks
for the next number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nava.config.training import StageConfig
from nava.data.loader.loader import LatentLoader, LoadedBatch
from nava.data.loader.sampler import SampledBatch
from nava.data.loader.tasks import Task
from nava.data.shards import LatentBatch
from nava.runtime.seeding import generator_for


@dataclass(frozen=True)
class MicroBatch:
    """A micro-batch, which holds one task.

    Attributes:
        latents: of its clips.
        text_dropped: where the text becomes zero rows.
        mask_modality: whether audio and video are kept apart in self-attention; never for one of them alone.
        generator: for times and noise, in that order.
        voice_dropped: which of its voices become unknown ones; None without voices.
    """

    task: Task
    latents: LatentBatch
    text_dropped: Tensor
    mask_modality: bool
    generator: torch.Generator
    voice_dropped: Tensor | None = field(default=None)

    @property
    def ids(self) -> list[str]:
        """Its clips."""
        return self.latents.ids


def drawn(batch: SampledBatch, latents: LatentBatch, settings: StageConfig, seed: int, stage: int) -> MicroBatch:
    """The draws of a micro-batch: a function of its number."""
    generator = generator_for(seed, stage, "micro-batch", batch.number)
    text_dropped = torch.rand(len(batch.ids), generator=generator) < settings.text_dropout
    masked = float(torch.rand((), generator=generator)) < settings.modality_masking
    both = batch.task.modality == "av" and batch.task.makes_audio
    voice_dropped = None
    if latents.voice_SE is not None:
        own = generator_for(seed, stage, "voices", batch.number)
        voice_dropped = torch.rand(len(latents.voice_SE), generator=own) < settings.voice_dropout
    return MicroBatch(batch.task, latents, text_dropped, masked and both, generator, voice_dropped)


class MicroBatches:
    """The micro-batches of a stage from where its loader stands; one iterator over them at a time."""

    def __init__(self, loader: LatentLoader, settings: StageConfig, stage: int, seed: int) -> None:
        self.loader = loader
        self._settings, self._stage, self._seed = settings, stage, seed

    def __iter__(self) -> Iterator[MicroBatch]:
        """Without end."""
        for loaded in self.loader:
            yield self._drawn(loaded)

    def _drawn(self, loaded: LoadedBatch) -> MicroBatch:
        return drawn(loaded.sampled, loaded.latents, self._settings, self._seed, self._stage)
