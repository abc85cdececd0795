"""Clusters: trained the same way every time, assigned whatever the blocks, read back whole."""

import numpy as np
import pytest
import torch

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates import clustering
from nava.data.duplicates.clustering import (
    Assignment,
    EmbeddingShard,
    Partition,
    assign,
    cluster_count,
    in_threads,
    partition_shards,
    sample_embeddings,
    train_centroids,
    write_partition,
)


def unit(count, dimensions=16, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def shards_of(embeddings, ranks, size):
    starts = range(0, len(ranks), size)
    return [EmbeddingShard(ranks[start : start + size], embeddings[start : start + size]) for start in starts]


@pytest.mark.parametrize(
    ("fresh", "total", "clusters"),
    [
        (1, 1, 1),
        (20_000, 20_000, 1),
        (20_001, 20_001, 141),
        (100, 1_000_000, 1),
        (1_000_000, 1_000_000, 1000),
        (10**8, 10**8, 10_000),
        (10**12, 10**12, 65_536),
    ],
)
def test_small_corpora_are_one_cluster_and_large_ones_the_square_root(fresh, total, clusters):
    assert cluster_count(fresh, total, DuplicateConfig()) == clusters


def test_the_sample_depends_on_ranks_and_not_on_shards():
    embeddings, ranks = unit(50), np.arange(50)
    whole = sample_embeddings(shards_of(embeddings, ranks, 50), 20, seed=3)
    assert whole.shape == (20, 16)
    np.testing.assert_array_equal(whole, sample_embeddings(shards_of(embeddings, ranks, 7), 20, seed=3))
    assert not np.array_equal(whole, sample_embeddings(shards_of(embeddings, ranks, 7), 20, seed=4))
    assert len(sample_embeddings(shards_of(embeddings, ranks, 7), 500, seed=3)) == 50


def test_training_finds_groups_and_is_the_same_twice():
    centres = unit(5, seed=9).astype(np.float32)
    sample = np.repeat(centres, 40, axis=0) + np.random.default_rng(0).normal(0, 0.02, (200, 16)).astype(np.float32)
    first, second = (train_centroids(sample, 20, 10, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1.0, atol=1e-5)
    assert (first @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T).max(axis=0).min() > 0.95


def test_copies_of_one_clip_are_at_home_together():
    copies = np.repeat(unit(1), 30, axis=0)
    centroids = train_centroids(copies.astype(np.float32), 6, 5, seed=0)
    assert len(centroids) == len(np.unique(centroids, axis=0))
    assert len(set(assign(copies, centroids, 3, 0.975).home.tolist())) == 1


def test_rows_are_at_home_in_the_nearest_cluster():
    rows, centroids = unit(300), unit(7, seed=1).astype(np.float32)
    exact = (rows.astype(np.float64) @ centroids.T.astype(np.float64)).argmax(axis=1)
    np.testing.assert_array_equal(assign(rows, centroids, 1, 0.975).home, exact)
    assert len(assign(rows, centroids, 1, 0.975).guests) == 0


def test_only_rows_near_a_border_are_guests():
    centroids = np.eye(2, dtype=np.float32)
    angles = np.radians([10.0, 44.0, 46.0, 80.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    assignment = assign(rows, centroids, 2, 0.975)
    assert assignment.home.tolist() == [0, 0, 1, 1]
    assert assignment.guests.tolist() == [[1, 1], [2, 0]]


def test_a_pair_across_a_border_meets_when_all_clusters_may_be_probed():
    rng = np.random.default_rng(0)
    one = unit(400, seed=5).astype(np.float64)
    aside = rng.normal(size=one.shape)
    aside -= (aside * one).sum(axis=1, keepdims=True) * one
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    other = 0.976 * one + (1 - 0.976**2) ** 0.5 * aside
    centroids = unit(12, seed=1).astype(np.float32)
    met = []
    for probes in (1, 12):
        visits = []
        for rows in (one, other):
            found = assign(rows.astype(np.float16), centroids, probes, 0.975)
            sets = [{home} for home in found.home.tolist()]
            for row, cluster in found.guests.tolist():
                sets[row].add(cluster)
            visits.append(sets)
        met.append(sum(bool(left & right) for left, right in zip(*visits, strict=True)))
    assert met[0] < 400
    assert met[1] == 400


def test_assignment_does_not_depend_on_the_size_of_blocks(monkeypatch):
    centroids = unit(9, seed=1).astype(np.float32)
    centroids[4] = centroids[3] * np.float32(1 + 1e-7)  # an order that float32 sums cannot be trusted with
    rows = np.concatenate([unit(200), centroids[3:4].astype(np.float16)])
    whole = assign(rows, centroids, 3, 0.9)
    for rows_at_once in (1, 7, 64):
        monkeypatch.setattr(clustering, "_BLOCK_VALUES", 9 * rows_at_once)
        part = assign(rows, centroids, 3, 0.9)
        np.testing.assert_array_equal(part.home, whole.home)
        assert sorted(part.guests.tolist()) == sorted(whole.guests.tolist())


def test_a_partition_gives_every_cluster_its_members_and_guests(tmp_path):
    embeddings, ranks = unit(60), np.random.default_rng(1).permutation(60)
    centroids = unit(4, seed=2).astype(np.float32)
    partition, home = partition_shards(shards_of(embeddings, ranks, 25), centroids, 2, 0.9, tmp_path)
    by_rank = embeddings[np.argsort(ranks)]
    whole = assign(by_rank, centroids, 2, 0.9)
    np.testing.assert_array_equal(home, whole.home)
    assert len(whole.guests) > 0
    for number in range(partition.clusters):
        cluster = partition.cluster(number)
        visiting = whole.guests[whole.guests[:, 1] == number, 0]
        expected = sorted([*np.flatnonzero(home == number).tolist(), *visiting.tolist()])
        assert cluster.ranks.tolist() == expected
        np.testing.assert_array_equal(cluster.embeddings, by_rank[expected])
        assert partition.members()[number] == len(expected)


def test_a_partition_shard_appears_whole_and_an_empty_cluster_is_empty(tmp_path):
    shard = EmbeddingShard(np.array([1, 0]), unit(2))
    path = tmp_path / "shard.safetensors"
    write_partition(path, shard, Assignment(np.array([2, 2]), np.empty((0, 2), np.int64)), 4)
    assert [file.name for file in tmp_path.iterdir()] == ["shard.safetensors"]
    partition = Partition([path])
    assert partition.members().tolist() == [0, 0, 2, 0]
    assert partition.cluster(2).ranks.tolist() == [0, 1]
    assert len(partition.cluster(3).ranks) == 0


def test_threads_keep_the_order_and_give_torch_its_threads_back():
    before = torch.get_num_threads()
    assert in_threads(lambda number: (number, torch.get_num_threads()), range(20)) == [(n, 1) for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 // number, [1, 0])
    assert torch.get_num_threads() == before
