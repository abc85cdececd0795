"""What a micro-batch is trained with: its clips from the loader, and the dropouts and noise that are drawn for it.

Everything is drawn from generators seeded by (seed, stage, number), so there is no state to save: a resumed run asks
for the next number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nava.config.training import StageConfig
from nava.data.loader.loader import LatentLoader, LoadedBatch
from nava.data.loader.sampler import SampledBatch
from nava.data.loader.tasks import Task
from nava.data.shards import LatentBatch
from nava.runtime.seeding import generator_for
from nava.training.other_voices import OtherVoices


@dataclass(frozen=True)
class MicroBatch:
    """A micro-batch, which holds one task.

    Attributes:
        latents: of its clips.
        text_dropped: [batch], where the text becomes zero rows.
        masked: [batch], whose audio and video are kept apart in self-attention; never of one of them alone.
        with_image: [batch], whose first frame is given.
        generator: for times and noise, in that order.
        voice_dropped: which of its voices become unknown ones; None without voices.
        voice_replaced: which of its voices are those of other clips; None without voices.
    """

    task: Task
    latents: LatentBatch
    text_dropped: Tensor
    masked: Tensor
    with_image: Tensor
    generator: torch.Generator
    voice_dropped: Tensor | None = field(default=None)
    voice_replaced: Tensor | None = field(default=None)

    @property
    def ids(self) -> list[str]:
        """Its clips."""
        return self.latents.ids


def drawn(batch: SampledBatch, latents: LatentBatch, settings: StageConfig, seed: int, stage: int) -> MicroBatch:
    """The draws of a micro-batch: a function of its number. Each kind has a generator of its own."""
    samples, task = len(batch.ids), batch.task

    def generator(purpose: str) -> torch.Generator:
        return generator_for(seed, stage, purpose, batch.number)

    noise = generator("micro-batch")
    text_dropped = torch.rand(samples, generator=noise) < settings.text_dropout
    together = torch.rand((), generator=noise) < settings.modality_masking
    masked = torch.rand(samples, generator=generator("masks")) < settings.modality_masking
    # As many as were drawn, side by side: attention treats neighbours that are alike together. The clips of a
    # micro-batch are in random order, so each is masked as often as it was.
    masked = together.expand(samples) if settings.mask_together else torch.arange(samples) < masked.sum()
    masked = masked & torch.tensor(task.modality == "av" and task.makes_audio)
    image = torch.rand(samples, generator=generator("images")) < settings.image_condition
    with_image = (image & (task.modality == "av")) | torch.tensor(task.with_image)
    dropped = replaced = None
    if latents.voice_SE is not None:
        dropped, replaced = _voice_draws(len(latents.voice_SE), settings, generator("voices"))
    return MicroBatch(task, latents, text_dropped, masked, with_image, noise, dropped, replaced)


def _voice_draws(spans: int, settings: StageConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which voices are dropped, and which of the others are replaced."""
    draw_S = torch.rand(spans, generator=generator)
    dropped_S = draw_S < settings.voice_dropout
    return dropped_S, ~dropped_S & (draw_S < settings.voice_dropout + settings.voice_replacement)


class MicroBatches:
    """The micro-batches of a stage from where its loader stands; one iterator over them at a time.

    Raises:
        InputError: voices are to be replaced, and there are no others.
    """

    def __init__(self, loader: LatentLoader, settings: StageConfig, stage: int, seed: int) -> None:
        self.loader = loader
        self._settings, self._stage, self._seed = settings, stage, seed
        if settings.voice_replacement:
            self._others = OtherVoices(loader.source, settings, stage)
            # Voices of other clips have to be read, which training need not wait for.
            loader.change = self._with_other_voices

    def __iter__(self) -> Iterator[MicroBatch]:
        """Without end."""
        for loaded in self.loader:
            yield self._drawn(loaded)

    def _with_other_voices(self, loaded: LoadedBatch) -> LoadedBatch:
        latents, key = loaded.latents, (self._seed, self._stage)
        if latents.voice_SE is None:
            return loaded
        draws = generator_for(*key, "voices", loaded.sampled.number)
        _, replaced_S = _voice_draws(len(latents.voice_SE), self._settings, draws)
        others = generator_for(*key, "other voices", loaded.sampled.number)
        voice_SE = self._others.put_into(latents, replaced_S, others)
        return replace(loaded, latents=replace(latents, voice_SE=voice_SE))

    def _drawn(self, loaded: LoadedBatch) -> MicroBatch:
        return drawn(loaded.sampled, loaded.latents, self._settings, self._seed, self._stage)
