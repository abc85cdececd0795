"""Curated folders and corpus repositories, small and deterministic."""

import os
import subprocess

import numpy as np

from nava.artifacts.clip_manifest import write_clips
from nava.config.corpus import CorpusConfig
from nava.data.corpus.repository import CorpusRepository
from nava.runtime.hashing import sha256_bytes

CLIP_BYTES = 4000


def source(name, **changes):
    sha256 = sha256_bytes(name.encode())
    facts = {"src_id": f"src-{sha256[:16]}", "src_sha256": sha256, "src_path": f"{name}.mp4"}
    return {**facts, "licence": "CC-BY-4.0", "origin": "test", **changes}


def clip(folder, of, number, size=CLIP_BYTES, **changes):
    """A kept row and its two files, whose bytes follow from the source and the number."""
    seed = int(of["src_sha256"][:8], 16) + number
    row = {"clip_id": f"{of['src_id'][4:12]}-{number}", "modality": "av", "status": "kept", "split": "train"}
    row |= {"stage": "manifest", "t0_us": number * 1000, "t1_us": (number + 1) * 1000, **of}
    for column, suffix in (("video", "mp4"), ("audio", "wav")):
        data = np.random.default_rng([seed, len(suffix), ord(suffix[0])]).bytes(size)
        path = f"media/{row['clip_id']}.{suffix}"
        (folder / "media").mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        row |= {f"{column}_path": path, f"{column}_sha256": sha256_bytes(data)}
    return row | changes


def dropped(of, number, reason="silent", status="dropped", **changes):
    row = {"clip_id": f"{of['src_id'][4:12]}-{number}", "modality": "av", "status": status, "stage": "filters"}
    return {**row, "t0_us": number * 1000, "drop_reason": reason, **of, **changes}


def curated(folder, names, clips_each=2, others=(), **changes):
    """A curated folder with kept clips of the named sources."""
    rows = [clip(folder, source(name), number, **changes) for name in names for number in range(clips_each)]
    write_clips(folder, [*rows, *others])
    return folder


def repository(folder, **settings):
    return CorpusRepository(folder, CorpusConfig(**{"shard_mb": 0.04, **settings}))


def git(folder, *arguments):
    clean = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=clean).stdout.strip()
