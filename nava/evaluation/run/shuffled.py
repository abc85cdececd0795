"""Clips with the sound of another clip of their subset: what a metric of synchrony or of speech gives by chance."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.storage import atomic_file, read_json, write_json


def derangement(names: Sequence[str], seed: int) -> dict[str, str]:
    """Another name for each name, every one once: a random cycle (Sattolo, 1986). Empty for fewer than two."""
    import numpy as np

    order = sorted(names)
    if len(order) < 2:
        return {}
    rng = np.random.default_rng(seed)
    shuffled = list(order)
    for last in range(len(shuffled) - 1, 0, -1):
        other = int(rng.integers(last))
        shuffled[last], shuffled[other] = shuffled[other], shuffled[last]
    return dict(zip(order, shuffled, strict=True))


def sound_partners(items: Sequence[Item], made: Mapping[str, Path], seed: int) -> dict[str, str]:
    """Whose sound each clip gets: a derangement of the clips of each subset, by the seed and the subset's name."""
    partners: dict[str, str] = {}
    for subset in sorted({item.subset for item in items}):
        names = [item.item_id for item in items if item.subset == subset and item.item_id in made]
        own = int(sha256_bytes(f"{seed}/{subset}".encode())[:8], 16)
        partners |= derangement(names, own)
    return partners


def shuffle_clip(picture: Path, sound: Path, target: Path) -> None:
    """Write a clip with the picture of one and the sound of another, unless it is there and whole.

    Both are taken over as they are encoded, so that metrics of the picture cannot change. Sound that goes on after the
    picture's end is left out. Clips without a picture become the other's sound.

    Args:
        picture: a clip.
        sound: another one.
        target: of the suffix of `picture`; beside it a file of its name and ``.json`` says what it is made of.

    Raises:
        InputError: the other clip has no sound.
    """
    sidecar = target.with_name(f"{target.name}.json")
    sources = {"picture_sha256": sha256_file(picture), "sound_sha256": sha256_file(sound)}
    if _is_of(target, sidecar, sources):
        return
    with atomic_file(target) as part:
        _join(picture, sound, part)
    write_json(sidecar, {**sources, "sound_of": sound.name, "file": target.name, "sha256": sha256_file(target)})


def _is_of(target: Path, sidecar: Path, sources: Mapping[str, str]) -> bool:
    try:
        value = read_json(sidecar)
    except (OSError, ValueError):
        return False
    if not isinstance(value, dict) or any(value.get(name) != sha256 for name, sha256 in sources.items()):
        return False
    return target.is_file() and value.get("sha256") == sha256_file(target)


def _join(picture: Path, sound: Path, target: Path) -> None:
    import av

    with av.open(str(picture)) as first, av.open(str(sound)) as second:
        if not second.streams.audio:
            raise InputError(f"{sound.name} has no sound to give")
        if not first.streams.video:
            shutil.copyfile(sound, target)
            return
        seen, heard = first.streams.video[0], second.streams.audio[0]
        end_s = seen.duration * seen.time_base if seen.duration else None
        packets = [(packet, 0) for packet in first.demux(seen) if packet.dts is not None]
        packets += [
            (packet, 1)
            for packet in second.demux(heard)
            if packet.dts is not None and (end_s is None or packet.pts * packet.time_base < end_s)
        ]
        rate = Fraction(seen.average_rate).numerator
        options = {
            "movflags": "+faststart",
            "fflags": "+bitexact",
            "movie_timescale": str(math.lcm(heard.rate, rate)),
        }
        with av.open(str(target), "w", format="mp4", options=options) as made:
            streams = [made.add_stream_from_template(stream) for stream in (seen, heard)]
            for packet, which in sorted(packets, key=_time_s):
                packet.stream = streams[which]
                made.mux(packet)


def _time_s(entry: tuple[Any, int]) -> Fraction:
    packet, _ = entry
    return Fraction(packet.dts * packet.time_base)
