"""Clips of a source that is a copy: where one clip of two sources is confirmed as the same, their other clips at the
same distance in time are compared more leniently.

A re-encoded copy can have its scenes cut a frame or two apart (a fade crosses the threshold earlier when it is
brighter). The clips then begin at other moments, and neither the embedding nor the sound agrees closely enough alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nava.data.duplicates.signature import Signature

MIN_COSINE = 0.85
_APART_S = 0.15  # by how much the distance in time of two clips may differ from that of the confirmed ones


@dataclass(frozen=True)
class PlacedClip:
    """A clip and its place: `t0_s` on its source's clock, in seconds."""

    clip_id: str
    src_id: str
    t0_s: float


def sibling_pairs(
    confirmed: Sequence[tuple[PlacedClip, PlacedClip]],
    kept: Sequence[PlacedClip],
    signatures: Mapping[str, Signature],
    max_hash_distance: float,
) -> Iterator[tuple[str, str, float]]:
    """Pairs (clip, clip of the other source, cosine) of kept clips that repeat each other, given confirmed ones.

    Args:
        confirmed: (clip, keeper) pairs.
        kept: clips that are still there, with pictures.
        signatures: of all of them.
        max_hash_distance: share of differing bits of aligned frames; it tells a copy from another film.
    """
    by_source: dict[str, list[PlacedClip]] = {}
    for clip in sorted(kept, key=lambda clip: (clip.src_id, clip.t0_s, clip.clip_id)):
        by_source.setdefault(clip.src_id, []).append(clip)
    offsets: dict[tuple[str, str], list[float]] = {}
    for clip, keeper in confirmed:
        if clip.src_id != keeper.src_id:
            offsets.setdefault((clip.src_id, keeper.src_id), []).append(clip.t0_s - keeper.t0_s)
    for (source, other), distances in sorted(offsets.items()):
        for one in by_source.get(source, []):
            for two in by_source.get(other, []):
                apart_s = one.t0_s - two.t0_s
                if not any(abs(apart_s - distance) <= _APART_S for distance in distances):
                    continue
                cosine = _agreement(signatures[one.clip_id], signatures[two.clip_id], max_hash_distance)
                if cosine is not None:
                    yield one.clip_id, two.clip_id, cosine


def _agreement(one: Signature, other: Signature, max_hash_distance: float) -> float | None:
    """The cosine of two clips whose pictures agree, else None."""
    if one.backend != other.backend or float((one.hashes != other.hashes).mean()) > max_hash_distance:
        return None
    cosine = float((one.embedding * other.embedding).sum())
    return min(cosine, 1.0) if cosine >= MIN_COSINE else None
