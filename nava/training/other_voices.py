"""Voices that take the place of a clip's own: those of other clips."""

from __future__ import annotations

from bisect import bisect_left

import torch
from torch import Tensor

from nava.config.training import StageConfig
from nava.data.shards import LatentBatch, LatentSource
from nava.runtime.errors import InputError


class OtherVoices:
    """The voices of a stage's training clips. Several threads may ask at once.

    Args:
        source: the latents.
        settings: of the stage.
        stage: its number, for the error.

    Raises:
        InputError: fewer than two clips have voices, so none could be replaced.
    """

    def __init__(self, source: LatentSource, settings: StageConfig, stage: int) -> None:
        self._source = source
        self._ids = [
            entry.clip_id
            for entry in source.select("train")
            if entry.voice_slots and (not settings.subset or settings.subset in entry.subsets)
        ]
        if len(self._ids) < 2:
            raise InputError(
                f"training.stage{stage}.voice_replacement is {settings.voice_replacement}, but of the stage's training "
                f"clips {len(self._ids)} have voices, and it takes two; set it to 0, or set "
                "conditioning.timbre_encoder and encode again"
            )

    def put_into(self, latents: LatentBatch, replaced_S: Tensor, generator: torch.Generator) -> Tensor:
        """The voices of a micro-batch, [spans, values], with some replaced by one of another clip each.

        Args:
            latents: of the micro-batch, which has voices.
            replaced_S: [spans], which of them.
            generator: every other clip is as likely, and so is every voice that it has.
        """
        assert latents.voice_SE is not None
        assert latents.voice_slot_S is not None
        voice_SE, text_rows = latents.voice_SE.clone(), latents.text_BND.shape[1]
        for span in replaced_S.nonzero().flatten().tolist():
            other = self._other_than(latents.ids[int(latents.voice_slot_S[span]) // text_rows], generator)
            found = self._source.read([other], with_video=False, dtype=voice_SE.dtype).voice_SE
            assert found is not None
            voice_SE[span] = found[_below(len(found), generator)]
        return voice_SE

    def _other_than(self, clip: str, generator: torch.Generator) -> str:
        own = bisect_left(self._ids, clip)
        if own == len(self._ids) or self._ids[own] != clip:
            return self._ids[_below(len(self._ids), generator)]
        place = _below(len(self._ids) - 1, generator)
        return self._ids[place + (place >= own)]


def _below(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=generator))
