"""Latents that are made when they are asked for: training on new data before, or while, its shards are written.

It is a source as the shards are, with the same clips, and gives the same latents to the last bit: clips are encoded one
by one in both. What was encoded is kept as a file per clip if there is a folder to keep it in, and `finish` makes of
these files the very shards that the encode step would have written.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nava.artifacts.clip_manifest import ClipRow
from nava.artifacts.latent_shard import AUDIO, TEXT, VIDEO, VOICE, LatentEntry, write_index
from nava.config.encoding import EncodingConfig
from nava.data.clip_encoder import Corpus, EncodedClip, Encoders, encode_clips
from nava.data.clip_text import ClipText
from nava.data.shard_encoder import describe_clips, describe_shard, plan_corpus, write_encoded
from nava.data.shards import LatentBatch, require_one_size, select_entries, voice_slots
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_bytes

SPOOL_FOLDER = "online"
DEFAULT_MEMORY_MB = 1024


class OnlineLatents:
    """The latents of a corpus folder, encoded on the fly. Several threads may read at once.

    Args:
        corpus: the clips and their media.
        encoders: what encodes them.
        config: as for the encode step. Which clips have voices is known once they are encoded, so that the task tia2av,
            which draws from those, needs shards.
        write_through: a folder of shards in the making; clips that are encoded are kept there. None keeps none.
        memory_mb: how much is kept in memory for when it is asked for again.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoders: Encoders,
        config: EncodingConfig,
        write_through: Path | None = None,
        memory_mb: int = DEFAULT_MEMORY_MB,
    ) -> None:
        self._corpus, self._encoders, self._config = corpus, encoders, config
        self._folder = write_through
        self._rows: dict[str, ClipRow] = {str(clip["clip_id"]): clip for clip in corpus.clips}
        self._plans = plan_corpus(corpus, encoders, config)
        described = [
            entry
            for plan in self._plans
            for entry in describe_clips(plan, [self._rows[clip] for clip in plan.ids], encoders, config)
        ]
        self.entries: dict[str, LatentEntry] = {entry.clip_id: entry for entry in described}
        self._memory = _Memory(memory_mb * 2**20)
        self._encoding = threading.Lock()

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        """Entries of a split and a modality, sorted by id; they name shards that may not be written yet."""
        return select_entries(self.entries, split, modality)

    def read(
        self, ids: Sequence[str], *, with_video: bool = True, dtype: torch.dtype | None = torch.float32
    ) -> LatentBatch:
        """The latents of ``ids``, in that order, as the shards would give them.

        Raises:
            InputError: an unknown id, clips of different sizes, or media that are not as the manifest says.
        """
        if unknown := [clip for clip in ids if clip not in self.entries]:
            raise InputError(f"clip '{unknown[0]}' is not among the {len(self.entries)} clips of {self._corpus.folder}")
        if not ids:
            raise InputError("no clip to read: the list of ids is empty")
        entries = [self.entries[clip] for clip in ids]
        with_video = with_video and all(entry.video_shape is not None for entry in entries)
        require_one_size(entries, with_video)
        stored: torch.dtype = getattr(torch, self._config.dtype)
        clips = [self._encoded(clip) for clip in ids]

        def given(tensor: Tensor) -> Tensor:
            return tensor.to(stored).to(dtype or stored)

        videos = [clip.video_CTHW for clip in clips if clip.video_CTHW is not None]
        voices = [clip.text.voice_SE for clip in clips if clip.text.voice_SE is not None]
        return LatentBatch(
            given(torch.stack(videos)) if with_video else None,
            given(torch.stack([clip.audio_LC for clip in clips])),
            given(torch.stack([clip.text.text_ND for clip in clips])),
            list(ids),
            [entry.caption for entry in entries],
            given(torch.cat(voices)) if voices else None,
            voice_slots([clip.text.voice_slots for clip in clips], entries[0].text_shape[0]),
        )

    def finish(self) -> list[LatentEntry]:
        """Encode what nobody asked for yet, write the shards and their index, and remove the clips' own files.

        Raises:
            ValueError: there is no folder to write to.
        """
        if self._folder is None:
            raise ValueError("latents that are not written through cannot be finished")
        entries = []
        for plan in self._plans:
            clips = [self._rows[clip] for clip in plan.ids]
            encoded: Iterator[EncodedClip] = (self._encoded(clip) for clip in plan.ids)
            write_encoded(self._folder, plan, clips, encoded, self._encoders, self._config)
            entries += describe_shard(self._folder, plan, clips, self._encoders, self._config)
        write_index(self._folder, entries)
        shutil.rmtree(self._folder / SPOOL_FOLDER, ignore_errors=True)
        return entries

    def _encoded(self, clip_id: str) -> EncodedClip:
        found = self._memory.get(clip_id) or self._kept(clip_id)
        if found is None:
            row = self._rows[clip_id]
            # One at a time: encoders are not made to be shared by threads.
            with self._encoding:
                (found,) = encode_clips([row], self._corpus, self._encoders, self._config.text)
            if self._folder is not None:
                write_bytes(self._spool(clip_id), _to_bytes(found))
        self._memory.put(clip_id, found)
        return found

    def _kept(self, clip_id: str) -> EncodedClip | None:
        """The clip's file, if it is there and was made of the same text by the same encoders."""
        if self._folder is None:
            return None
        return _read_clip(self._spool(clip_id), self.entries[clip_id].caption)

    def _spool(self, clip_id: str) -> Path:
        assert self._folder is not None
        made_by = sha256_json([self._encoders.identities, self._config.text])[:16]
        return self._folder / SPOOL_FOLDER / made_by / f"{clip_id}.safetensors"


class _Memory:
    """Encoded clips, the least recently used ones forgotten for want of room."""

    def __init__(self, max_bytes: int) -> None:
        self._clips: OrderedDict[str, EncodedClip] = OrderedDict()
        self._max_bytes, self._bytes = max_bytes, 0
        self._lock = threading.Lock()

    def get(self, clip_id: str) -> EncodedClip | None:
        with self._lock:
            if clip_id in self._clips:
                self._clips.move_to_end(clip_id)
            return self._clips.get(clip_id)

    def put(self, clip_id: str, clip: EncodedClip) -> None:
        with self._lock:
            if clip_id in self._clips:
                return
            self._clips[clip_id] = clip
            self._bytes += _size(clip)
            while self._bytes > self._max_bytes:
                self._bytes -= _size(self._clips.popitem(last=False)[1])


def _size(clip: EncodedClip) -> int:
    return sum(tensor.nbytes for tensor in _tensors(clip).values())


def _tensors(clip: EncodedClip) -> dict[str, Tensor]:
    found = {VIDEO: clip.video_CTHW, AUDIO: clip.audio_LC, TEXT: clip.text.text_ND, VOICE: clip.text.voice_SE}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _to_bytes(clip: EncodedClip) -> bytes:
    text = clip.text
    facts = {"text": text.text, "dropped_words": text.dropped_words, "voice_slots": text.voice_slots}
    tensors = {name: tensor.contiguous() for name, tensor in _tensors(clip).items()}
    return save(tensors, metadata={"clip": json.dumps(facts)})


def _read_clip(path: Path, text: str) -> EncodedClip | None:
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["clip"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    if facts["text"] != text:
        return None
    encoded = ClipText(text, tensors[TEXT], facts["dropped_words"], tensors.get(VOICE), tuple(facts["voice_slots"]))
    return EncodedClip(tensors.get(VIDEO), tensors[AUDIO], encoded)
