"""The benchmark of clustering plants what it says, measures recall rightly, and scales figures by the arithmetic."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from nava.data.duplicates.pairs import ClosePairs

PATH = Path(__file__).parents[2] / "benchmarks" / "clustering.py"


@pytest.fixture(scope="module")
def benchmark_module():
    spec = importlib.util.spec_from_file_location("benchmark_of_clustering", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def small(benchmark_module, monkeypatch):
    monkeypatch.setattr(benchmark_module, "SHARD_ROWS", 700)
    monkeypatch.setattr(benchmark_module, "COMPARED_ROWS", 500)
    return benchmark_module


def test_planted_pairs_are_close_and_nothing_else_is(small, tmp_path):
    small.make_data(tmp_path, 2000)
    rows = np.concatenate([shard.embeddings for shard in small.open_shards(tmp_path, 2000)]).astype(np.float64)
    planted = np.load(tmp_path / "planted.npy")
    assert planted.shape == (40, 2)
    assert len(set(planted.reshape(-1).tolist())) == 80
    cosine = rows @ rows.T
    of_planted = cosine[planted[:, 0], planted[:, 1]]
    assert of_planted.min() >= 0.975
    cosine[planted[:, 0], planted[:, 1]] = cosine[planted[:, 1], planted[:, 0]] = 0
    assert (cosine - np.eye(2000) * 2).max() < 0.9


def test_the_data_are_the_same_twice(small, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        small.make_data(tmp_path / name, 900)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_recall_is_the_share_of_wanted_pairs(benchmark_module):
    found = ClosePairs(np.array([5, 9]), np.array([2, 1]), np.array([1.0, 1.0]))
    assert benchmark_module.recall(found, np.array([[2, 5], [9, 1], [3, 4], [5, 1]])) == 0.5


def test_it_finds_what_was_planted(small, tmp_path):
    small.make_data(tmp_path, 2000)
    shards, planted = small.open_shards(tmp_path, 2000), np.load(tmp_path / "planted.npy")
    config = small.DuplicateConfig(exact_clips=1)
    found, figures = small.cluster(shards, 45, config, tmp_path)
    assert small.recall(found, planted) >= 0.95
    assert figures["pairs_found"] == len(found.later) <= 40
    assert {"wall_s", "cpu_s", "peak_memory_gb_so_far"} == set(figures["train"])
    against = small.recall_by_probes(shards, planted, tmp_path)
    assert against["rows"] == 500
    assert against["pairs_by_brute_force"] == 40
    assert against["recall_with_1_probes"] <= against["recall_with_3_probes"]


def test_a_hundred_million_clips_by_arithmetic(benchmark_module):
    figures = {"clusters": 1000, **{name: {"cpu_s": 36.0} for name in ("train", "assign_and_partition")}}
    figures["pairs_inside_clusters"] = {"cpu_s": 72.0}
    scaled = benchmark_module.for_100m_clips(figures, 10**6)
    assert scaled["factor"] == {"train": 100, "assign_and_partition": 1000, "pairs_inside_clusters": 1000}
    assert scaled["core_hours"] == {"train": 1.0, "assign_and_partition": 10.0, "pairs_inside_clusters": 20.0}
    assert scaled["core_hours_in_all"] == 31.0
    assert scaled["embeddings_gb"] == 102.4
