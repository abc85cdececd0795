"""Clips of given sizes without media: what a sampler looks at, and latents that say whose they are."""

from collections.abc import Sequence

import torch

from nava.artifacts.latent_shard import LatentEntry, bucket_name, sequence_length
from nava.config.training import StageConfig, TrainingConfig
from nava.data.shards import LatentBatch, select_entries

TEXT_SHAPE = (3, 5)
# (frames, rows and columns, audio latents) of latents; None is sound alone.
Size = tuple[tuple[int, int, int] | None, int]


def sized_entry(clip_id: str, size: Size, **changes: object) -> LatentEntry:
    """An index row of a training clip."""
    video, audio_length = size
    shapes = (None if video is None else (4, *video), (audio_length, 6))
    values = {
        "clip_id": clip_id,
        "bucket": bucket_name(*shapes),
        "modality": "audio" if video is None else "av",
        "split": "train",
        "shard": "",
        "row": 0,
        "shard_sha256": "",
        "dtype": "F32",
        "video_shape": shapes[0],
        "audio_shape": shapes[1],
        "text_shape": TEXT_SHAPE,
        "seq_len": sequence_length(*shapes),
        "video_codec_id": "v",
        "audio_codec_id": "a",
        "text_encoder_id": "t",
        "caption": "",
        "dropped_words": 0,
        "tags": (),
    }
    return LatentEntry(**values | changes)  # type: ignore[arg-type]


class SizedClips:
    """A latent source of such clips; latents are filled with the clip's number."""

    def __init__(self, entries: Sequence[LatentEntry]) -> None:
        self.entries = {entry.clip_id: entry for entry in entries}
        self.read_ids: list[tuple[str, ...]] = []

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        return select_entries(self.entries, split, modality)

    def read(
        self, ids: Sequence[str], *, with_video: bool = True, dtype: torch.dtype | None = torch.float32
    ) -> LatentBatch:
        self.read_ids.append(tuple(ids))
        entries = [self.entries[clip] for clip in ids]
        numbers = [float(list(self.entries).index(clip)) for clip in ids]
        audio = torch.stack([torch.full(entry.audio_shape, number) for entry, number in zip(entries, numbers)])
        video = None
        if with_video and all(entry.video_shape for entry in entries):
            video = torch.stack([torch.full(entry.video_shape, number) for entry, number in zip(entries, numbers)])
        text = torch.zeros(len(entries), *TEXT_SHAPE)
        return LatentBatch(video, audio, text, list(ids), [entry.caption for entry in entries])


def one_stage(micro_batch_size: int = 4, **changes: object) -> TrainingConfig:
    """A recipe whose stages are all alike."""
    values = {"steps": 1, "audio_only": 1, "audio_video": 2, "warmup_steps": 0} | changes
    stages = {f"stage{number}": StageConfig(**values) for number in (1, 2, 3)}  # type: ignore[arg-type]
    return TrainingConfig(**stages, micro_batch_size=micro_batch_size, soundtracks_as_audio=False)
