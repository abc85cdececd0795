"""Claim: near-duplicates of a million embeddings are found on two cores in minutes and under 8 GB.

Embeddings are synthetic: a mixture of 3,000 groups of very unequal size, a third of them without any group, 512 values
each, stored as float16 and computed in float32. One row in fifty is replaced by a near-copy (cosine 0.976 to 0.999) of
another row. Measured are k-means on a sample, assignment and partition of the shards, and the pairs inside clusters;
making the data is not. Recall on the planted pairs, and against every pair of a part small enough to compare all.

Writes `benchmarks/results/clustering.json`. Command: `nice python benchmarks/clustering.py`; with `--rows` other than
1000000 it writes nothing.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine  # noqa: E402
from nava.config.duplicates import DuplicateConfig  # noqa: E402
from nava.data.duplicates.clustering import (  # noqa: E402
    EmbeddingShard,
    cluster_count,
    partition_shards,
    sample_embeddings,
    train_centroids,
)
from nava.data.duplicates.pairs import ClosePairs, close_pairs, pairs_of_clusters  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "clustering.json"
FULL_ROWS = 1_000_000
DIMENSIONS = 512
GROUPS = 3000
SHARD_ROWS = 65_536
COMPARED_ROWS = 20_000
MIN_COSINE = DuplicateConfig().min_cosine
T = TypeVar("T")


def shard_paths(folder: Path, rows: int) -> list[Path]:
    return [folder / f"embeddings-{start:09d}.npy" for start in range(0, rows, SHARD_ROWS)]


def draw_rows(count: int, rng: np.random.Generator, centres: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Two thirds lie about a centre (cosine 0.5 to one another), one third anywhere."""
    popularity = 1 / np.arange(1, GROUPS + 1)
    group = rng.choice(GROUPS, count, p=popularity / popularity.sum())
    rows = rng.standard_normal((count, DIMENSIONS), np.float32) / DIMENSIONS**0.5
    rows += centres[group] * (rng.random(count) < 2 / 3)[:, None]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_data(folder: Path, rows: int) -> None:
    """Write the shards, then the planted pairs over them and `planted.npy`, [pairs, 2] of row numbers."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((GROUPS, DIMENSIONS), np.float32) / DIMENSIONS**0.5
    paths = shard_paths(folder, rows)
    for number, path in enumerate(paths):
        count = min(SHARD_ROWS, rows - number * SHARD_ROWS)
        np.save(path, draw_rows(count, np.random.default_rng([1, number]), centres).astype(np.float16))
    chosen = rng.permutation(rows)[: rows // 50 * 2].reshape(-1, 2)
    files = [np.load(path, mmap_mode="r+") for path in paths]
    for copy, original in chosen:
        row = files[original // SHARD_ROWS][original % SHARD_ROWS].astype(np.float32)
        aside = rng.standard_normal(DIMENSIONS, np.float32)
        aside -= (aside @ row) * row
        cosine = rng.uniform(0.976, 0.999)
        near = cosine * row + (1 - cosine**2) ** 0.5 * aside / np.linalg.norm(aside)
        files[copy // SHARD_ROWS][copy % SHARD_ROWS] = near.astype(np.float16)
    np.save(folder / "planted.npy", chosen)


def open_shards(folder: Path, rows: int) -> list[EmbeddingShard]:
    """The shards, mapped; a row's rank is its number."""
    files = [np.load(path, mmap_mode="r") for path in shard_paths(folder, rows)]
    starts = range(0, rows, SHARD_ROWS)
    return [
        EmbeddingShard(np.arange(start, start + len(file)), file) for start, file in zip(starts, files, strict=True)
    ]


def timed(call: Callable[[], T]) -> tuple[T, dict[str, float]]:
    wall, cpu = time.monotonic(), time.process_time()
    result = call()
    figures = {"wall_s": round(time.monotonic() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    return result, figures | {"peak_memory_gb_so_far": peak_memory_gb()}


def peak_memory_gb() -> float:
    """Highest resident memory of this process, pages of mapped files included."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


def recall(found: ClosePairs, wanted: npt.NDArray[np.int64]) -> float:
    """Share of wanted pairs, rows in any order, that were found."""
    known = set(zip(found.later.tolist(), found.earlier.tolist(), strict=True))
    return float(np.mean([(max(pair), min(pair)) in known for pair in wanted.tolist()]))


def cluster(
    shards: Sequence[EmbeddingShard], clusters: int, config: DuplicateConfig, folder: Path
) -> tuple[ClosePairs, dict[str, Any]]:
    """The three phases of a search, each timed."""
    rows = sum(len(shard.ranks) for shard in shards)

    def train() -> npt.NDArray[np.float32]:
        sample = sample_embeddings(shards, clusters * config.training_clips_per_cluster, seed=0)
        return train_centroids(sample, clusters, config.kmeans_iterations, seed=0)

    centroids, training = timed(train)
    (partition, home), assignment = timed(
        lambda: partition_shards(shards, centroids, config.probes, MIN_COSINE, folder)
    )
    found, pairs = timed(lambda: pairs_of_clusters(partition, 0, MIN_COSINE, config.max_candidates))
    members = partition.members()
    figures = {
        "clusters": len(centroids),
        "largest_cluster": int(np.bincount(home).max()),
        "compared_in_a_second_cluster": round(int(members.sum()) / rows - 1, 3),
        "dot_products_inside_clusters": int((members.astype(np.float64) ** 2).sum() / 2),
        "pairs_found": len(found.later),
        "train": training,
        "assign_and_partition": assignment,
        "pairs_inside_clusters": pairs,
    }
    return found, figures


def recall_by_probes(shards: Sequence[EmbeddingShard], planted: npt.NDArray[np.int64], folder: Path) -> dict[str, Any]:
    """A corpus of the planted pairs and other rows, small enough to compare all: what clusters lose against that."""
    total = sum(len(shard.ranks) for shard in shards)
    size = min(COMPARED_ROWS, total)
    others = np.random.default_rng(2).permutation(total)
    rows = list(dict.fromkeys([*planted.reshape(-1)[: size // 2].tolist(), *others.tolist()]))[:size]
    embeddings = np.stack([shards[row // SHARD_ROWS].embeddings[row % SHARD_ROWS] for row in rows])
    part = EmbeddingShard(np.arange(size), embeddings)
    exact = close_pairs(part, 0, MIN_COSINE, size)
    wanted = np.stack([exact.later, exact.earlier], axis=1)
    figures: dict[str, Any] = {"rows": size, "pairs_by_brute_force": len(wanted)}
    for probes in (1, 2, 3):
        config = DuplicateConfig(probes=probes, exact_clips=1)
        found, _ = cluster([part], cluster_count(size, size, config), config, folder)
        figures[f"recall_with_{probes}_probes"] = round(recall(found, wanted), 5)
    return figures


def for_100m_clips(figures: dict[str, Any], rows: int) -> dict[str, Any]:
    """The measured core-seconds scaled by the number of dot products; nothing of this was run."""
    clips, clusters = 10**8, 10**4
    products = {
        "train": (clusters / figures["clusters"]) ** 2,
        "assign_and_partition": clips * clusters / (rows * figures["clusters"]),
        "pairs_inside_clusters": (clips**2 / clusters) / (rows**2 / figures["clusters"]),
    }
    hours = {name: round(figures[name]["cpu_s"] * factor / 3600, 1) for name, factor in products.items()}
    return {
        "how": "cpu_s of a phase x dot products there / dot products here; clusters = square root of clips",
        "clusters": clusters,
        "factor": {name: round(factor) for name, factor in products.items()},
        "core_hours": hours,
        "core_hours_in_all": round(sum(hours.values()), 1),
        "embeddings_gb": clips * DIMENSIONS * 2 / 1e9,
        "training_sample_gb": clusters * DuplicateConfig().training_clips_per_cluster * DIMENSIONS * 4 / 1e9,
    }


def measure(rows: int) -> dict[str, Any]:
    config = DuplicateConfig(exact_clips=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own, so that its memory is not counted.
        maker = multiprocessing.get_context("spawn").Process(target=make_data, args=(folder, rows))
        maker.start()
        maker.join()
        if maker.exitcode != 0:
            raise RuntimeError("the embeddings could not be made")
        shards, planted = open_shards(folder, rows), np.load(folder / "planted.npy")
        found, figures = cluster(shards, cluster_count(rows, rows, config), config, folder)
        figures |= {"planted_pairs": len(planted), "planted_recall": round(recall(found, planted), 5)}
        figures |= {"peak_memory_gb": peak_memory_gb()}
        against = recall_by_probes(shards, planted, folder)
    return {"rows": rows, **figures, "against_brute_force": against, "for_100m_clips": for_100m_clips(figures, rows)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    rows = parser.parse_args(arguments).rows
    value = {
        "command": "nice python benchmarks/clustering.py",
        "machine": machine(),
        **measure(rows),
    }
    text = json.dumps(value, indent=2) + "\n"
    print(text, end="")
    if rows == FULL_ROWS:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
