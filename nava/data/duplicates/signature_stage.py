"""The stage that signs the clips of a source, from the clip files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nava.config.duplicates import DuplicateConfig
from nava.data.curation.media import clip_media
from nava.data.curation.stage import Clip, Resources, SourceTask, Stage
from nava.data.duplicates.embedding import Embedding, make_embedding
from nava.data.duplicates.signature import (
    FRAMES,
    HASH_BITS,
    SOUND_BACKEND,
    Floats,
    Signature,
    frame_hashes,
    picture_cube,
    sound_bands,
    sound_embedding,
)
from nava.data.duplicates.signature_shards import SHARD_NAME, write_signatures


def sign(
    frames_THWC: npt.NDArray[np.uint8] | None, audio: Floats, sample_rate_hz: int, embedding: Embedding
) -> Signature:
    """The signature of a clip, with or without pictures.

    Args:
        frames_THWC: RGB, or None.
        audio: float32 [samples], mono.
        sample_rate_hz: of the sound.
        embedding: of pictures, set up.
    """
    sound = sound_bands(audio, sample_rate_hz)
    if frames_THWC is None:
        hashes = np.zeros((FRAMES, HASH_BITS), bool)
        return Signature(SOUND_BACKEND, sound_embedding(sound), hashes, sound)
    cube_THW = picture_cube(frames_THWC)
    return Signature(embedding.backend, embedding.embed(frames_THWC, cube_THW), frame_hashes(cube_THW), sound)


@dataclass
class SignatureStage(Stage):
    """Signs every open clip and writes the signatures of a source as one shard in its folder."""

    name: ClassVar[str] = "signature"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = (
        "clip_id",
        "video_path",
        "video_sha256",
        "audio_path",
        "audio_sha256",
        "audio_sr",
    )
    adds: ClassVar[tuple[str, ...]] = ("embedding_ref", "embedding_backend")
    resources: ClassVar[Resources] = Resources(memory_mb=1536)

    config: DuplicateConfig
    _embedding: Embedding = field(init=False, repr=False)

    def setup(self) -> None:
        """Load the embedding's model. InputError: its weights are not there."""
        self._embedding = make_embedding(self.config)
        self._embedding.setup()

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Signs each task's open clips; a second time gives the same shard."""
        for task in tasks:
            signatures = {clip.row["clip_id"]: self._sign(task, clip) for clip in task.open_clips}
            if not signatures:
                continue
            write_signatures(task.folder / SHARD_NAME, signatures)
            for clip in task.open_clips:
                backend = signatures[clip.row["clip_id"]].backend
                clip.row |= {"embedding_ref": SHARD_NAME, "embedding_backend": backend}
        return list(tasks)

    def _sign(self, task: SourceTask, clip: Clip) -> Signature:
        media = clip_media(task, clip)
        return sign(media.frames_THWC, media.audio, clip.row["audio_sr"], self._embedding)
