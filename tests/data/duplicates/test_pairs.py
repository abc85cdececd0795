"""Close pairs: all that brute force finds, whatever the blocks and the clusters."""

from itertools import pairwise

import numpy as np
import pytest

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates import pairs
from nava.data.duplicates.clustering import EmbeddingShard
from nava.data.duplicates.pairs import ClosePairs, close_pairs, exact_cosine, search


def vectors_with_copies(count=400, copies=120, dimensions=24, seed=0):
    """Unit vectors, the last of which are copies of a cosine of 0.97 to 1."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, dimensions))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for copy in range(count - copies, count):
        aside = rng.normal(size=dimensions)
        rows[copy] = rows[rng.integers(copy)] + rng.uniform(0, 0.25) * aside / np.linalg.norm(aside)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[rng.permutation(count)].astype(np.float16)


def brute_force(rows, settled, min_cosine):
    exact = rows.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    cosine = exact @ exact.T
    found = np.argwhere(np.tril(cosine >= min_cosine, -1))
    return [(later, earlier) for later, earlier in found.tolist() if later >= settled]


def listed(found):
    return list(zip(found.later.tolist(), found.earlier.tolist(), strict=True))


@pytest.mark.parametrize("settled", [0, 150, 399, 400])
@pytest.mark.parametrize(("block_rows", "block_columns"), [(512, 8192), (40, 70), (64, 13)])
def test_the_pairs_are_those_of_brute_force(monkeypatch, settled, block_rows, block_columns):
    monkeypatch.setattr(pairs, "_BLOCK_ROWS", block_rows)
    monkeypatch.setattr(pairs, "_BLOCK_COLUMNS", block_columns)
    rows = vectors_with_copies()
    found = close_pairs(EmbeddingShard(np.arange(400), rows), settled, 0.975, 256)
    expected = brute_force(rows, settled, 0.975)
    assert sorted(listed(found)) == expected
    assert settled or len(expected) > 50


def test_the_threshold_is_met_exactly_where_float32_is_not_sure():
    rows = vectors_with_copies(60, 30)
    found = close_pairs(EmbeddingShard(np.arange(60), rows), 0, 0.97, 256)
    for bound in found.cosine:
        at = close_pairs(EmbeddingShard(np.arange(60), rows), 0, float(bound), 256)
        above = close_pairs(EmbeddingShard(np.arange(60), rows), 0, float(np.nextafter(bound, 2)), 256)
        assert bound in at.cosine
        assert bound not in above.cosine


def test_a_pair_has_one_cosine_whoever_asks():
    rows = vectors_with_copies(50, 20)
    one, other = np.arange(49), np.arange(1, 50)
    together = exact_cosine(rows, one, other)
    alone = [exact_cosine(rows[[a, b]], np.array([0]), np.array([1]))[0] for a, b in pairwise(range(50))]
    assert together.tolist() == alone
    assert exact_cosine(rows, one, one).tolist() == [1.0] * 49


def test_copies_are_bounded_and_the_best_of_them_stay():
    rows = np.repeat(vectors_with_copies(2, 0)[:1], 40, axis=0)
    found = close_pairs(EmbeddingShard(np.arange(40), rows), 0, 0.975, 3)
    assert listed(found) == [(later, earlier) for later in range(40) for earlier in range(min(later, 3))]


def test_the_bound_holds_across_blocks(monkeypatch):
    monkeypatch.setattr(pairs, "_BLOCK_COLUMNS", 2)
    rows = np.repeat(vectors_with_copies(2, 0)[:1], 12, axis=0)
    found = close_pairs(EmbeddingShard(np.arange(12), rows), 0, 0.975, 3)
    assert sorted(listed(found)) == [(later, earlier) for later in range(12) for earlier in range(min(later, 3))]


def search_shards(rows, config, folder, size=130, seed=2, settled=0):
    """The search over shards whose rows lie in any order."""
    folder.mkdir(exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(rows))
    starts = range(0, len(rows), size)
    shards = [EmbeddingShard(order[start : start + size], rows[order[start : start + size]]) for start in starts]
    return search(shards, settled, 0.975, config, folder)


def test_a_small_corpus_is_searched_exactly(tmp_path, config):
    rows = vectors_with_copies()
    found, home = search_shards(rows, config, tmp_path)
    assert listed(found) == brute_force(rows, 0, 0.975)
    assert set(home.tolist()) == {0}
    assert list(tmp_path.iterdir()) == []


def test_clusters_lose_no_pair_and_report_none_twice(tmp_path):
    rows = vectors_with_copies(3000, 900, dimensions=32)
    expected = brute_force(rows, 0, 0.975)
    found, home = search_shards(rows, DuplicateConfig(exact_clips=100), tmp_path)
    assert len(set(home.tolist())) > 30
    assert len(set(listed(found))) == len(found.later)
    assert set(listed(found)) <= set(expected)
    assert len(found.later) >= 0.998 * len(expected)
    single, _ = search_shards(rows, DuplicateConfig(exact_clips=100, probes=1), tmp_path)
    assert len(single.later) < len(found.later), "borders cost pairs without a second probe, or this test tests nothing"


def test_the_order_and_number_of_shards_change_nothing(tmp_path):
    rows, config = vectors_with_copies(1500, 400), DuplicateConfig(exact_clips=100)
    first, home = search_shards(rows, config, tmp_path / "first", size=1500, seed=3, settled=200)
    second, other_home = search_shards(rows, config, tmp_path / "second", size=64, seed=4, settled=200)
    assert listed(first) == listed(second)
    assert first.cosine.tolist() == second.cosine.tolist()
    np.testing.assert_array_equal(home, other_home)
    assert min(first.later) >= 200


def test_joining_sorts_and_drops_repetitions():
    one = ClosePairs(np.array([5, 3]), np.array([1, 2]), np.array([0.98, 0.99]))
    other = ClosePairs(np.array([3, 4]), np.array([2, 0]), np.array([0.99, 1.0]))
    joined = ClosePairs.join([one, other])
    assert listed(joined) == [(3, 2), (4, 0), (5, 1)]
    assert joined.cosine.tolist() == [0.99, 1.0, 0.98]
