"""Pairs of embeddings that are close: searched inside clusters, block by block, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.clustering import (
    EmbeddingShard,
    Halves,
    Integers,
    Partition,
    cluster_count,
    float32_tensor,
    in_threads,
    partition_shards,
    sample_embeddings,
    train_centroids,
)

_BLOCK_ROWS, _BLOCK_COLUMNS = 512, 8192  # 16 MB of cosines at once
_SLACK = 1e-3  # float32 proposes, float64 decides: the result does not depend on how rows fall into blocks
_EXACT_PAIRS = 1 << 14

BlockSearch = Callable[[int], tuple[Integers, Integers]]


@dataclass(frozen=True)
class ClosePairs:
    """Pairs of clips by rank, in order and without repetitions.

    Attributes:
        later, earlier: int64 [P], ranks; the earlier one is preferred.
        cosine: float64 [P].
    """

    later: Integers
    earlier: Integers
    cosine: npt.NDArray[np.float64]

    @classmethod
    def join(cls, parts: Sequence[ClosePairs]) -> ClosePairs:
        """All pairs of the parts; one that several clusters found is there once."""
        later, earlier = (np.concatenate([getattr(part, name) for part in parts]) for name in ("later", "earlier"))
        pairs, first = np.unique(np.stack([later, earlier]), axis=1, return_index=True)
        return cls(pairs[0], pairs[1], np.concatenate([part.cosine for part in parts])[first])


def close_pairs(
    shard: EmbeddingShard,
    settled: int,
    min_cosine: float,
    max_candidates: int,
    run: Callable[[BlockSearch, Iterable[int]], Iterable[tuple[Integers, Integers]]] = map,
) -> ClosePairs:
    """Pairs inside one cluster with a cosine of at least `min_cosine`.

    Args:
        shard: rows in the order of their ranks.
        settled: clips of a lower rank are not compared with one another; they belong to earlier corpora.
        min_cosine: of a pair.
        max_candidates: a clip has at most so many pairs with better ones, the best are taken. It bounds the pairs of a
            cluster of copies, which are quadratic in their number.
        run: how blocks of rows are searched: one after another, or by `in_threads` where there is but one cluster.

    Returns:
        Pairs whose later clip is not settled.
    """
    first = int(np.searchsorted(shard.ranks, settled))

    def search_rows(start: int) -> tuple[Integers, Integers]:
        stop = min(start + _BLOCK_ROWS, len(shard.ranks))
        return _search_rows(shard.embeddings, start, stop, min_cosine - _SLACK, max_candidates)

    none = np.empty(0, np.int64)
    found = [(none, none), *run(search_rows, range(first, len(shard.ranks), _BLOCK_ROWS))]
    row, column = (np.concatenate([block[side] for block in found]) for side in (0, 1))
    cosine = exact_cosine(shard.embeddings, row, column)
    kept = cosine >= min_cosine
    return ClosePairs(shard.ranks[row[kept]], shard.ranks[column[kept]], cosine[kept])


def _search_rows(embeddings_ND: Halves, start: int, stop: int, least: float, most: int) -> tuple[Integers, Integers]:
    """(row, column) of pairs whose row is in [start, stop) and whose column comes before it."""
    block = float32_tensor(embeddings_ND[start:stop])
    counts = np.zeros(stop - start, np.int64)
    rows, columns = [], []
    for left in range(0, stop, _BLOCK_COLUMNS):
        right = min(left + _BLOCK_COLUMNS, stop)
        cosine = block @ float32_tensor(embeddings_ND[left:right]).T
        row_P, column_P = np.divmod(np.flatnonzero((cosine >= least).numpy()), right - left)
        column_P += left
        before = column_P < row_P + start
        row_P, column_P = row_P[before], column_P[before]
        # Rows come in order, so a pair's place among those of its row is its distance from the row's first pair.
        place = np.arange(len(row_P)) - np.searchsorted(row_P, row_P) + counts[row_P]
        taken = place < most
        counts += np.bincount(row_P, minlength=stop - start)
        rows.append(row_P[taken] + start)
        columns.append(column_P[taken])
    return np.concatenate(rows), np.concatenate(columns)


def exact_cosine(embeddings_ND: Halves, row: Integers, column: Integers) -> npt.NDArray[np.float64]:
    """Cosine of pairs of rows in float64; products of float16 are exact there, and each sum has one order.

    Rounding to float16 changes the length of a vector with one large value, so lengths are divided out.
    """
    parts = [np.empty(0)]
    for start in range(0, len(row), _EXACT_PAIRS):
        pairs = slice(start, start + _EXACT_PAIRS)
        one, other = (embeddings_ND[rows[pairs]].astype(np.float64) for rows in (row, column))
        lengths = (one * one).sum(axis=1) * (other * other).sum(axis=1)
        parts.append(((one * other).sum(axis=1) / np.sqrt(lengths)).clip(-1.0, 1.0))
    return np.concatenate(parts)


def search(
    shards: Sequence[EmbeddingShard], settled: int, min_cosine: float, config: DuplicateConfig, folder: Path
) -> tuple[ClosePairs, Integers]:
    """Every close pair of a corpus, and the cluster of every clip.

    Each shard is assigned and partitioned by itself, then each cluster is searched by itself: both loops are maps.

    Args:
        shards: all clips; ranks are 0 to N - 1.
        settled: number of clips of earlier corpora; they have the lowest ranks.
        min_cosine: of a pair.
        config: sizes of the search.
        folder: where partition shards are written.

    Returns:
        Pairs, and int64 [N], the home cluster by rank.
    """
    total = sum(len(shard.ranks) for shard in shards)
    clusters = cluster_count(total - settled, total, config)
    if clusters == 1:
        whole = _in_order(shards)
        found = close_pairs(whole, settled, min_cosine, config.max_candidates, in_threads)
        return ClosePairs.join([found]), np.zeros(total, np.int64)
    sample_ND = sample_embeddings(shards, clusters * config.training_clips_per_cluster, seed=0)
    centroids_KD = train_centroids(sample_ND, clusters, config.kmeans_iterations, seed=0)
    partition, home = partition_shards(shards, centroids_KD, config.probes, min_cosine, folder)
    return pairs_of_clusters(partition, settled, min_cosine, config.max_candidates), home


def pairs_of_clusters(partition: Partition, settled: int, min_cosine: float, max_candidates: int) -> ClosePairs:
    """The close pairs of every cluster; arguments as of `close_pairs`."""
    return ClosePairs.join(
        in_threads(
            lambda number: close_pairs(partition.cluster(number), settled, min_cosine, max_candidates),
            range(partition.clusters),
        )
    )


def _in_order(shards: Sequence[EmbeddingShard]) -> EmbeddingShard:
    ranks = np.concatenate([shard.ranks for shard in shards])
    order = np.argsort(ranks)
    return EmbeddingShard(ranks[order], np.concatenate([shard.embeddings for shard in shards])[order])
