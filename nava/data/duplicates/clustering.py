"""Clusters of embeddings: k-means trained on a sample, then assignment and partition shard by shard, as a map.

The scheme is NeMo Curator's. What is added: a clip near a border is compared on the other side of it too, and a
partition shard holds its rows in the order of clusters, so that a cluster is read as one slice of each shard.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import safe_open

from nava.config.duplicates import DuplicateConfig
from nava.runtime.storage import write_bytes

X = TypeVar("X")
Y = TypeVar("Y")
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Halves = npt.NDArray[np.float16]

_BLOCK_VALUES = 1 << 23  # cosines held at once: 32 MB
_CLOSE = 1e-5  # cosines nearer than this are ordered by float64, as float32 sums depend on the size of a block


@dataclass(frozen=True)
class EmbeddingShard:
    """Embeddings that are handled together, in memory or mapped from a file.

    Attributes:
        ranks: int64 [n], place of each clip in the order of preference.
        embeddings: float16 [n, D], unit length.
    """

    ranks: Integers
    embeddings: Halves


@dataclass(frozen=True)
class Assignment:
    """Clusters of a shard's rows.

    Attributes:
        home: int64 [n], the nearest cluster.
        guests: int64 [m, 2], (row, cluster): further clusters whose border a row is near.
    """

    home: Integers
    guests: Integers


def float32_tensor(embeddings_ND: Halves) -> torch.Tensor:
    """Embeddings as a tensor to compute with; torch converts float16 ten times as fast as numpy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a mapped file is read-only, and so is what we do with it
        return torch.from_numpy(embeddings_ND).float()


def in_threads(call: Callable[[X], Y], items: Iterable[X]) -> list[Y]:
    """Results of a map, in order, each call on one thread of its own.

    As many calls run at once as torch has threads. Threads that share one small product mostly wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(call, items))
    finally:
        torch.set_num_threads(threads)


def cluster_count(fresh: int, total: int, config: DuplicateConfig) -> int:
    """How many clusters to make for `fresh` clips that are compared with `total`.

    One for a small corpus, which is then searched exactly. Else the square root of the number of clips: assignment
    costs clips times clusters, the search inside clusters clips squared over clusters, and there they are equal.
    """
    if fresh * total <= config.exact_clips**2:
        return 1
    return min(round(total**0.5), config.max_clusters)


def sample_places(total: int, count: int, seed: int) -> Integers:
    """At most `count` of the numbers below `total`, drawn by seed, in order."""
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])


def sample_embeddings(shards: Sequence[EmbeddingShard], count: int, seed: int) -> Floats:
    """At most `count` embeddings of all shards, float32, drawn by seed and returned in the order of their ranks."""
    sizes = [len(shard.ranks) for shard in shards]
    picks = sample_places(sum(sizes), count, seed)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    ranks, rows = [], []
    for shard, start, stop in zip(shards, starts, starts[1:], strict=False):
        inside = picks[(picks >= start) & (picks < stop)] - start
        ranks.append(shard.ranks[inside])
        rows.append(shard.embeddings[inside])
    return np.concatenate(rows)[np.argsort(np.concatenate(ranks))].astype(np.float32)


def train_centroids(sample_ND: Floats, clusters: int, iterations: int, seed: int) -> Floats:
    """Spherical k-means: float32 [K, D] of unit length, in a fixed order, without repetitions (so K may be less).

    faiss runs on one thread: sums then have one order, and the same sample gives the same clusters.
    """
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        kmeans = faiss.Kmeans(
            sample_ND.shape[1],
            min(clusters, len(sample_ND)),
            niter=iterations,
            seed=seed,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=len(sample_ND),
        )
        kmeans.train(np.ascontiguousarray(sample_ND))
    finally:
        faiss.omp_set_num_threads(threads)
    assert kmeans.centroids is not None, "training makes centroids"
    return np.asarray(np.unique(kmeans.centroids, axis=0), np.float32)


def assign(embeddings_ND: Halves, centroids_KD: Floats, probes: int, min_cosine: float) -> Assignment:
    """Home cluster of every row, and the clusters it visits as a guest.

    Two clips of a cosine of `min_cosine` are at most sqrt(2 - 2 min_cosine) apart. If a border lies between them, one
    of the two is within half of that from it: that one is compared on the other side too. Rows far from every border
    visit nobody. `probes` bounds how many clusters a row is compared in; only beyond that a pair can be missed.
    """
    reach = (2 - 2 * min_cosine) ** 0.5 / 2 + 1e-3  # float16 moves a vector by less
    centroids = torch.from_numpy(centroids_KD)
    near = min(probes + 1, len(centroids_KD))
    block = max(_BLOCK_VALUES // len(centroids_KD), 1)
    homes, guests = [np.empty(0, np.int64)], [np.empty((0, 2), np.int64)]
    for start in range(0, len(embeddings_ND), block):
        rows = float32_tensor(embeddings_ND[start : start + block])
        cosine, order = (rows @ centroids.T).topk(near, dim=1)
        cosine_NP, order_NP = cosine.numpy().astype(np.float64), order.numpy()
        _settle_order(rows.numpy(), centroids_KD, cosine_NP, order_NP)
        homes.append(order_NP[:, 0])
        for probe in range(1, min(probes, near)):
            apart = np.linalg.norm(centroids_KD[order_NP[:, 0]] - centroids_KD[order_NP[:, probe]], axis=1)
            visits = np.flatnonzero(cosine_NP[:, 0] - cosine_NP[:, probe] <= reach * apart)
            guests.append(np.stack([visits + start, order_NP[visits, probe]], axis=1))
    return Assignment(np.concatenate(homes), np.concatenate(guests))


def _settle_order(
    rows_ND: Floats, centroids_KD: Floats, cosine_NP: npt.NDArray[np.float64], order_NP: Integers
) -> None:
    """Order anew, in place and in float64, the nearest clusters of rows whose order hangs on rounding."""
    close = np.flatnonzero((cosine_NP[:, :-1] - cosine_NP[:, 1:] < _CLOSE).any(axis=1))
    for row in close:
        exact = (centroids_KD[order_NP[row]].astype(np.float64) * rows_ND[row]).sum(axis=1)
        ordered = np.lexsort((order_NP[row], -exact))
        order_NP[row], cosine_NP[row] = order_NP[row][ordered], exact[ordered]


def write_partition(path: Path, shard: EmbeddingShard, assignment: Assignment, clusters: int) -> None:
    """Write a shard's rows in the order of clusters, guests too, with the offset of each cluster; atomic."""
    rows = np.concatenate([np.arange(len(shard.ranks)), assignment.guests[:, 0]])
    cluster = np.concatenate([assignment.home, assignment.guests[:, 1]])
    order = np.lexsort((shard.ranks[rows], cluster))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(cluster, minlength=clusters))])
    tensors = {
        "offsets": torch.from_numpy(offsets),
        "ranks": torch.from_numpy(shard.ranks[rows[order]]),
        "embeddings": torch.from_numpy(shard.embeddings[rows[order]]),
    }
    write_bytes(path, safetensors.torch.save(tensors))


class Partition:
    """Partition shards of one corpus, read cluster by cluster."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [safe_open(path, framework="np") for path in paths]
        self._offsets = [file.get_tensor("offsets") for file in self._files]
        self._dimensions = self._files[0].get_slice("embeddings").get_shape()[1]
        self.clusters = len(self._offsets[0]) - 1

    def members(self) -> Integers:
        """Size of every cluster, guests included: int64 [K]."""
        return np.asarray(np.sum([np.diff(offsets) for offsets in self._offsets], axis=0), np.int64)

    def cluster(self, number: int) -> EmbeddingShard:
        """Members and guests of a cluster, in the order of their ranks."""
        ranks, embeddings = [], []
        for file, offsets in zip(self._files, self._offsets, strict=True):
            start, stop = int(offsets[number]), int(offsets[number + 1])
            if start == stop:
                continue  # safetensors refuses an empty slice at the end
            ranks.append(file.get_slice("ranks")[start:stop])
            embeddings.append(file.get_slice("embeddings")[start:stop])
        if not ranks:
            return EmbeddingShard(np.empty(0, np.int64), np.empty((0, self._dimensions), np.float16))
        joined = np.concatenate(ranks)
        order = np.argsort(joined)
        return EmbeddingShard(joined[order], np.concatenate(embeddings)[order])


def partition_shards(
    shards: Sequence[EmbeddingShard], centroids_KD: Floats, probes: int, min_cosine: float, folder: Path
) -> tuple[Partition, Integers]:
    """Assign and partition every shard; returns the partition and int64 [N], the home cluster by rank."""
    home = np.zeros(sum(len(shard.ranks) for shard in shards), np.int64)
    paths = [folder / f"{number:05d}.safetensors" for number in range(len(shards))]

    def partition(path: Path, shard: EmbeddingShard) -> None:
        assignment = assign(shard.embeddings, centroids_KD, probes, min_cosine)
        home[shard.ranks] = assignment.home
        write_partition(path, shard, assignment, len(centroids_KD))

    in_threads(lambda pair: partition(*pair), zip(paths, shards, strict=True))
    return Partition(paths), home
