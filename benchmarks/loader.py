"""Claim: the loader brings latents to training at 0.8 or more of the rate at which the same bytes can be read in the
same order.

Shards of random values at real sizes, in the page cache, so that the loader's own work shows and no disk hides it: a
network or a disk would be slower than either side. Both sides are timed in turn, epoch by epoch, in the same run.

* raw: every shard's file from beginning to end by `preadv` in one thread into memory of a shard's size, which is used
  again for the next one. `raw_small_buffer` reads into one buffer of 4 MiB instead, which stays in the processor's
  cache: nothing arrives in memory, so it is what no loader of batches larger than that cache can reach.
* raw_shuffled: the rows of the sampler's micro-batches by `preadv`, a call per clip and tensor, into a micro-batch's
  memory, with nothing decided on the way. It is what a loader of that order that reads from files could reach.
* loader: epochs of micro-batches in the sampler's shuffled order, in the stored dtype, in the thread that asks for
  them. `loader_ahead` reads two micro-batches ahead in threads, which pays where something else is done meanwhile; here
  nothing is. Shards are verified already; what the first epoch pays for that is given. Small clips of a set that fits
  are then held in the process's memory, where nothing is read from files any more; `loader_from_files` holds none.

A round of each side is as many epochs as make 64 micro-batches and 1 GB or more. Ratios are of elapsed time, and of
processor time under `cpu`: on a machine that others use too, the first ones say more about those others.

Writes `benchmarks/results/loader.json`. Command: `python benchmarks/loader.py`; `--quick` makes small sets and few
epochs, and writes nothing.
"""

import argparse
import json
import mmap
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine  # noqa: E402
from nava.artifacts.latent_shard import (  # noqa: E402
    AUDIO,
    DTYPES,
    TEXT,
    VIDEO,
    LatentEntry,
    bucket_name,
    sequence_length,
    write_index,
)
from nava.config.loader import LoaderConfig  # noqa: E402
from nava.config.training import StageConfig, TrainingConfig  # noqa: E402
from nava.data.loader.loader import LatentLoader  # noqa: E402
from nava.data.loader.sampler import MicroBatchSampler  # noqa: E402
from nava.data.shard_file import ShardFile  # noqa: E402
from nava.data.shards import LatentShards, write_shard  # noqa: E402
from nava.runtime.hashing import sha256_file  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "loader.json"
SMALL_BUFFER_BYTES = 1 << 22
MICRO_BATCHES_PER_ROUND = 64
BYTES_PER_ROUND = 1_000_000_000
GOAL = 0.8


@dataclass(frozen=True)
class SetOfClips:
    """A set to load.

    Attributes:
        video: latents (C, T, H, W) of a clip.
        audio: latents (L, C).
        text: rows (N, D).
    """

    name: str
    clips: int
    clips_per_shard: int
    micro_batch: int
    dtype: str
    video: tuple[int, int, int, int]
    audio: tuple[int, int]
    text: tuple[int, int]

    @property
    def clip_bytes(self) -> int:
        """Stored size of a clip."""
        values = sum(torch.Size(shape).numel() for shape in (self.video, self.audio, self.text))
        return values * (2 if self.dtype == "bfloat16" else 4)


SETS = [
    # The released model's: 704 x 1280 pixels, 121 frames, 5 s of sound, umT5.
    SetOfClips("release_720p", 96, 16, 4, "bfloat16", (48, 31, 44, 80), (126, 128), (512, 4096)),
    # A pretraining stage at 256 x 256 pixels and 49 frames.
    SetOfClips("release_256p", 320, 64, 16, "bfloat16", (48, 13, 16, 16), (52, 128), (512, 4096)),
    # The demo recipe's: 64 x 64 pixels, 49 frames, weight-free encoders.
    SetOfClips("demo", 2048, 128, 16, "float32", (48, 13, 4, 4), (52, 64), (32, 64)),
]


def write_set(folder: Path, clips: SetOfClips) -> None:
    """The set as shards of random values."""
    shapes = (clips.video, clips.audio)
    entries: list[LatentEntry] = []
    generator = torch.Generator().manual_seed(0)
    for first in range(0, clips.clips, clips.clips_per_shard):
        count = min(clips.clips_per_shard, clips.clips - first)
        shard = f"{bucket_name(*shapes)}/{first // clips.clips_per_shard:05d}.safetensors"
        tensors = {
            name: torch.randn((count, *shape), generator=generator).to(getattr(torch, clips.dtype))
            for name, shape in ((VIDEO, clips.video), (AUDIO, clips.audio), (TEXT, clips.text))
        }
        write_shard(folder / shard, tensors, "benchmark")
        sha256 = sha256_file(folder / shard)
        entries += [
            LatentEntry(
                clip_id=f"c{first + row:06d}",
                bucket=bucket_name(*shapes),
                modality="av",
                split="train",
                shard=shard,
                row=row,
                shard_sha256=sha256,
                dtype=DTYPES[clips.dtype],
                video_shape=clips.video,
                audio_shape=clips.audio,
                text_shape=clips.text,
                seq_len=sequence_length(*shapes),
                video_codec_id="random",
                audio_codec_id="random",
                text_encoder_id="random",
                caption="",
                dropped_words=0,
                tags=(),
            )
            for row in range(count)
        ]
    write_index(folder, entries)


class RawReading:
    """Reads every shard's file once, into memory that is used again."""

    def __init__(self, folder: Path, buffer_bytes: int, epochs: int) -> None:
        self._paths = sorted(folder.rglob("*.safetensors"))
        self._buffer = mmap.mmap(-1, buffer_bytes)
        self._epochs = epochs

    def __call__(self) -> int:
        """Some epochs; returns the bytes."""
        total = 0
        for path in self._paths * self._epochs:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                offset = 0
                while count := os.preadv(descriptor, [self._buffer], offset):
                    offset += count
            finally:
                os.close(descriptor)
            total += offset
        return total


class ShuffledReading:
    """Reads the rows of micro-batches, each from its own place."""

    def __init__(self, shards: LatentShards, order: Sequence[Sequence[str]]) -> None:
        self._files = {shard: ShardFile(shards.folder / shard) for shard in {e.shard for e in shards.entries.values()}}
        stored = next(iter(self._files.values())).tensors
        clips = max(map(len, order))
        memory = {name: memoryview(mmap.mmap(-1, clips * tensor.row_bytes)) for name, tensor in stored.items()}
        self._reads: list[tuple[int, memoryview, int]] = []
        for name, place, entry in (
            (n, p, shards.entries[i]) for ids in order for n in stored for p, i in enumerate(ids)
        ):
            file, size = self._files[entry.shard], stored[name].row_bytes
            target = memory[name][place * size : (place + 1) * size]
            self._reads.append((file.descriptor, target, file.tensors[name].start + entry.row * size))

    def __call__(self) -> int:
        """All micro-batches; returns the bytes."""
        return sum(os.preadv(descriptor, [memory], offset) for descriptor, memory, offset in self._reads)


class Loading:
    """Loads epoch after epoch in the sampler's order, each by a loader that goes on where the last one stood."""

    def __init__(self, shards: LatentShards, clips: SetOfClips, prefetch: int, epochs: int) -> None:
        stage = StageConfig(steps=1, audio_only=0, audio_video=1, warmup_steps=0)
        config = TrainingConfig(stage1=stage, micro_batch_size=clips.micro_batch)
        self._sampler = MicroBatchSampler(shards, config, LoaderConfig(), 1, seed=0)
        self._shards, self._prefetch = shards, prefetch
        self._count = self._sampler.epoch_lengths()["av"] * epochs
        self._state = LatentLoader(shards, self._sampler).state()
        self.order = [self._sampler[number].ids for number in range(self._count)]

    def __call__(self) -> int:
        """Some epochs; returns the bytes of their batches. What was read ahead beyond them is thrown away."""
        loader = LatentLoader(self._shards, self._sampler, prefetch=self._prefetch, dtype=None)
        loader.restore(self._state)
        loaded = sum(loaded.latents.nbytes for loaded in islice(loader, self._count))
        self._state = loader.state()
        return loaded


def timed(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds, those of the processor, and what the work returns."""
    start, cpu_start = time.perf_counter(), time.process_time()
    done = work()
    return time.perf_counter() - start, time.process_time() - cpu_start, done


def measure(clips: SetOfClips, folder: Path, rounds: int) -> dict[str, Any]:
    """Times of all sides, round by round."""
    write_set(folder, clips)
    least = max(MICRO_BATCHES_PER_ROUND * clips.micro_batch, BYTES_PER_ROUND // clips.clip_bytes)
    epochs = -(-least // clips.clips)
    largest = max(path.stat().st_size for path in folder.rglob("*.safetensors"))
    shards = LatentShards(folder)
    loading = Loading(shards, clips, 0, epochs)
    sides: dict[str, Callable[[], int]] = {
        "raw": RawReading(folder, largest, epochs),
        "raw_small_buffer": RawReading(folder, SMALL_BUFFER_BYTES, epochs),
        "raw_shuffled": ShuffledReading(shards, loading.order),
        "loader": loading,
        "loader_from_files": Loading(LatentShards(folder, held_bytes=0), clips, 0, epochs),
        "loader_ahead": Loading(shards, clips, 2, epochs),
    }
    first_s, _, loaded_bytes = timed(Loading(shards, clips, 0, 1))
    assert loaded_bytes == clips.clips * clips.clip_bytes
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            spent, spent_cpu, _ = timed(side)
            if number:  # the first round fills the page cache and the memory that is used again
                seconds[name].append(spent)
                cpu[name].append(spent_cpu)
    rate = {name: epochs * clips.clips / statistics.median(found) for name, found in seconds.items()}
    return {
        "clips": clips.clips,
        "clip_bytes": clips.clip_bytes,
        "micro_batch": clips.micro_batch,
        "dtype": clips.dtype,
        "epochs_per_round": epochs,
        "rounds": rounds,
        "samples_per_s": {name: round(value, 1) for name, value in rate.items()},
        "mb_per_s": {name: round(value * clips.clip_bytes / 1e6) for name, value in rate.items()},
        **ratios(seconds),
        "cpu": {"us_per_clip": microseconds(cpu, epochs * clips.clips), **ratios(cpu)},
        "first_epoch_with_verification_samples_per_s": round(clips.clips / first_s, 1),
    }


def ratios(spent: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Rates of loaders over those of reading."""
    pairs = [(loader, raw) for loader in ("loader", "loader_from_files") for raw in ("raw", "raw_shuffled")]
    pairs += [("loader", "raw_small_buffer"), ("loader_ahead", "raw"), ("raw_shuffled", "raw")]
    return {f"{loader}_over_{raw}": ratio(spent[raw], spent[loader]) for loader, raw in pairs}


def microseconds(spent: dict[str, list[float]], clips: int) -> dict[str, float]:
    """Of a clip, by side."""
    return {name: round(statistics.median(found) / clips * 1e6, 2) for name, found in spent.items()}


def ratio(raw: Sequence[float], loader: Sequence[float]) -> dict[str, float]:
    """Rate of the loader over that of reading, round by round."""
    found = sorted(one / other for one, other in zip(raw, loader, strict=True))
    return {"median": round(statistics.median(found), 3), "min": round(found[0], 3), "max": round(found[-1], 3)}


def facts() -> dict[str, Any]:
    """Where and of what this was measured."""

    return {
        "command": "python benchmarks/loader.py",
        "machine": {**machine(), "torch": torch.__version__},
        "cache": "page cache, warm on both sides",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sets, few epochs; writes nothing")
    parser.add_argument("--folder", type=Path, help="where the sets are written for the time of the run")
    arguments = parser.parse_args()
    result: dict[str, Any] = facts() | {"goal": GOAL, "sets": {}}
    for clips in SETS:
        size = SetOfClips(**{**vars(clips), "clips": clips.clips // 8}) if arguments.quick else clips
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            result["sets"][clips.name] = measure(size, Path(folder), 3 if arguments.quick else 9)
        print(json.dumps({clips.name: result["sets"][clips.name]}), flush=True)
    if not arguments.quick:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
