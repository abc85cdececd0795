"""A tiny corpus in memory with the interface of `LatentShards`, and a model to match, for the tests of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nava.artifacts.latent_shard import LatentEntry, bucket_name, sequence_length
from nava.config.diffusion import DiffusionConfig
from nava.config.model import ModelConfig
from nava.config.training import StageConfig, TrainingConfig
from nava.data.shards import LatentBatch, require_one_size, select_entries

TINY_MODEL = ModelConfig(
    dim=24, ffn_dim=48, freq_dim=16, num_heads=2, num_hal_layers=1, num_ufl_layers=1,
    video_channels=4, audio_channels=6, text_len=3, text_dim=5, audio_stem_hidden=24,
)  # fmt: skip
DIFFUSION = DiffusionConfig()


class LatentsInMemory:
    """Clips whose latents are drawn from their number; `p` are paired, `w` paired, wider and longer, `s` audio-only.

    The last of each are held out.
    """

    codec_folder = Path("none")

    def __init__(self, paired: int = 10, audio_only: int = 6, held_out: int = 2, wide: int = 0) -> None:
        self.entries: dict[str, LatentEntry] = {}
        for letter, count in (("p", paired), ("w", wide), ("s", audio_only)):
            for number in range(count):
                split = "train" if number < count - held_out else "heldout"
                entry = _entry(f"{letter}{number:03d}", split)
                self.entries[entry.clip_id] = entry

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        return select_entries(self.entries, split, modality)

    def ids(self, split: str, modality: str) -> list[str]:
        return [entry.clip_id for entry in self.select(split, modality)]

    def read(
        self, ids: Sequence[str], *, with_video: bool = True, dtype: torch.dtype | None = torch.float32
    ) -> LatentBatch:
        entries = [self.entries[clip] for clip in ids]
        require_one_size(entries, with_video)
        seeds = [int(clip[1:]) for clip in ids]
        draws = [torch.randn(600, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        video_shape, audio_shape = entries[0].video_shape, entries[0].audio_shape
        seen = 4 * 3 * 4 * (6 if ids[0].startswith("w") else 4)
        heard = seen + audio_shape[0] * audio_shape[1]
        return LatentBatch(
            video_BCTHW=torch.stack([draw[:seen].view(video_shape) for draw in draws])
            if with_video and video_shape
            else None,
            audio_BLC=torch.stack([draw[seen:heard].view(audio_shape) for draw in draws]),
            text_BND=torch.stack([draw[heard : heard + 15].view(3, 5) for draw in draws]),
            ids=list(ids),
            captions=[f"clip {seed % 3}" for seed in seeds],
        )


_SHAPES: dict[str, tuple[tuple[int, int, int, int] | None, tuple[int, int]]] = {
    "p": ((4, 3, 4, 4), (12, 6)),
    "w": ((4, 3, 4, 6), (16, 6)),
    "s": (None, (12, 6)),
}


def _entry(clip_id: str, split: str) -> LatentEntry:
    shapes = _SHAPES[clip_id[0]]
    return LatentEntry(
        clip_id=clip_id,
        bucket=bucket_name(*shapes),
        modality="audio" if shapes[0] is None else "av",
        split=split,
        shard="",
        row=0,
        shard_sha256="",
        dtype="F32",
        video_shape=shapes[0],
        audio_shape=shapes[1],
        text_shape=(3, 5),
        seq_len=sequence_length(*shapes),
        video_codec_id="v",
        audio_codec_id="a",
        text_encoder_id="t",
        caption="",
        dropped_words=0,
        tags=(),
    )


def tiny_training(**changes: object) -> TrainingConfig:
    """Three short stages in the plain engine on one thread."""
    stages = {
        "stage1": StageConfig(steps=6, audio_only=3, audio_video=1, warmup_steps=2),
        "stage2": StageConfig(steps=6, audio_only=1, audio_video=2, warmup_steps=2),
        "stage3": StageConfig(steps=6, audio_only=0, audio_video=1, warmup_steps=2),
    }
    defaults = {"engine": "plain", "threads": 1, "micro_batch_size": 4, "checkpoint_every_steps": 2}
    return TrainingConfig(**{**stages, **defaults, **changes})  # type: ignore[arg-type]
