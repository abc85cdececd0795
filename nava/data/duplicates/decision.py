"""Which clips repeat a better one: the keeper is chosen by quality, and never repeats another clip itself."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.clustering import EmbeddingShard, Halves, Integers
from nava.data.duplicates.index import DuplicateIndex
from nava.data.duplicates.pairs import ClosePairs, search
from nava.data.duplicates.signature import SOUND_BACKEND, Signature, sound_correlation
from nava.runtime.errors import InputError

_SHARD_ROWS = 65_536


@dataclass(frozen=True)
class DuplicatePair:
    """A clip and the clip it repeats.

    Attributes:
        clip_id: the clip that is not kept.
        keeper_id: the better one that is.
        cosine: of their embeddings.
        cluster: home of the clip.
        keeper_index: address of the earlier corpus's index that the keeper is in; empty: it is in this corpus. A clip
            that an earlier corpus has too is its own keeper there.
    """

    clip_id: str
    keeper_id: str
    cosine: float
    cluster: int
    keeper_index: str = ""


@dataclass(frozen=True)
class DuplicateFindings:
    """Pairs by clip id, and the cluster of every clip. Clusters of clips without pictures follow the others'."""

    pairs: list[DuplicatePair]
    clusters: dict[str, int]


@dataclass(frozen=True)
class _Member:
    """A clip in the order of preference; `index` is the earlier corpus it belongs to, -1: this one."""

    clip_id: str
    index: int
    embedding: Halves


def find_duplicates(
    signatures: Mapping[str, Signature],
    quality: Mapping[str, tuple[float, ...]],
    config: DuplicateConfig,
    against: Sequence[str | Path] = (),
    folder: Path | None = None,
) -> DuplicateFindings:
    """Find clips that repeat a better one. A function of the set of clips: order and workers do not matter.

    Args:
        signatures: by clip id; walked once in their own order, then read again for candidates.
        quality: sort key by clip id, larger is better; clips of equal quality are ordered by id.
        config: thresholds and sizes of the search.
        against: addresses of signature indexes of earlier corpora. Their kept clips stay whatever their quality. The
            index of this very corpus must not be among them.
        folder: for the partitions of a large corpus, about 1.5 kB per clip; None: a temporary folder.

    Raises:
        InputError: an index cannot be read, or embeddings of different backends meet.
    """
    indexes = [DuplicateIndex.open(address) for address in against]
    groups = _groups(signatures, quality, indexes)
    _require_one_picture_backend(groups, indexes)
    pairs: list[DuplicatePair] = []
    clusters: dict[str, int] = {}
    for backend in sorted(groups, key=lambda name: (name == SOUND_BACKEND, name)):
        first_cluster = max(clusters.values(), default=-1) + 1
        group = _Group(groups[backend], signatures, indexes, config)
        with tempfile.TemporaryDirectory(prefix="nava-duplicates-", dir=folder) as partitions:
            found, home = group.search(backend, Path(partitions))
        pairs += group.decide(found, home + first_cluster)
        clusters |= {
            member.clip_id: int(cluster) + first_cluster
            for member, cluster in zip(groups[backend], home, strict=True)
            if member.index < 0
        }
    return DuplicateFindings(sorted(pairs, key=lambda pair: pair.clip_id), clusters)


def _groups(
    signatures: Mapping[str, Signature],
    quality: Mapping[str, tuple[float, ...]],
    indexes: Sequence[DuplicateIndex],
) -> dict[str, list[_Member]]:
    """Clips by backend, each list in the order of preference: earlier corpora first, then by quality."""
    fresh: dict[str, list[_Member]] = defaultdict(list)
    for clip_id in signatures:
        signature = signatures[clip_id]
        fresh[signature.backend].append(_Member(clip_id, -1, signature.embedding.astype(np.float16)))
    settled: dict[str, list[_Member]] = defaultdict(list)
    for number, index in enumerate(indexes):
        for clip_id in index.kept:
            signature = index.kept[clip_id]
            if signature.backend in fresh:
                member = _Member(clip_id, number, signature.embedding.astype(np.float16))
                settled[signature.backend].append(member)
    return {
        backend: [
            *sorted(settled[backend], key=lambda member: (member.index, member.clip_id)),
            *sorted(members, key=lambda member: (tuple(-value for value in quality[member.clip_id]), member.clip_id)),
        ]
        for backend, members in fresh.items()
    }


def _require_one_picture_backend(groups: Mapping[str, list[_Member]], indexes: Sequence[DuplicateIndex]) -> None:
    ours = sorted(set(groups) - {SOUND_BACKEND})
    if len(ours) > 1:
        raise InputError(f"clips have embeddings of {' and '.join(ours)}, which do not compare; curate all with one")
    for index in indexes:
        theirs = sorted(index.backends - {SOUND_BACKEND})
        if ours and theirs and theirs != ours:
            raise InputError(
                f"{index.address} has embeddings of {theirs[0]}, this corpus has {ours[0]}: they do not compare. "
                "Set curation.duplicates.embedding and weights to those of that corpus, or curate it again"
            )


class _Group:
    """Clips of one backend in the order of preference."""

    def __init__(
        self,
        members: Sequence[_Member],
        signatures: Mapping[str, Signature],
        indexes: Sequence[DuplicateIndex],
        config: DuplicateConfig,
    ) -> None:
        self._members = members
        self._signatures = signatures
        self._indexes = indexes
        self._config = config

    def search(self, backend: str, folder: Path) -> tuple[ClosePairs, Integers]:
        """Candidates, and home clusters by rank."""
        shards = [
            EmbeddingShard(
                np.arange(start, min(start + _SHARD_ROWS, len(self._members))),
                np.stack([member.embedding for member in self._members[start : start + _SHARD_ROWS]]),
            )
            for start in range(0, len(self._members), _SHARD_ROWS)
        ]
        settled = sum(member.index >= 0 for member in self._members)
        min_cosine = self._config.min_audio_cosine if backend == SOUND_BACKEND else self._config.min_cosine
        return search(shards, settled, min_cosine, self._config, folder)

    def decide(self, found: ClosePairs, home: Integers) -> list[DuplicatePair]:
        """Best clip first: each is compared with the kept ones among its candidates, and kept if it repeats none."""
        dropped: set[int] = set()
        pairs = []
        bounds = [*np.flatnonzero(np.diff(found.later, prepend=-1)).tolist(), len(found.later)]
        for start, stop in pairwise(bounds):
            rank = int(found.later[start])
            rivals = [
                (float(cosine), -int(other))
                for other, cosine in zip(found.earlier[start:stop], found.cosine[start:stop], strict=True)
                if int(other) not in dropped and self._agree(self._signature(rank), self._signature(int(other)))
            ]
            if rivals:
                cosine, negative_rank = max(rivals)
                keeper = self._members[-negative_rank]
                dropped.add(rank)
                address = self._indexes[keeper.index].address if keeper.index >= 0 else ""
                clip_id = self._members[rank].clip_id
                pairs.append(DuplicatePair(clip_id, keeper.clip_id, cosine, int(home[rank]), address))
        return pairs

    def _signature(self, rank: int) -> Signature:
        member = self._members[rank]
        known = self._signatures if member.index < 0 else self._indexes[member.index].kept
        return known[member.clip_id]

    def _agree(self, one: Signature, other: Signature) -> bool:
        if float((one.hashes != other.hashes).mean()) > self._config.max_hash_distance:
            return False
        if not one.sound.any() or not other.sound.any():
            return not one.sound.any() and not other.sound.any()
        return sound_correlation(one.sound, other.sound) >= self._config.min_audio_correlation
