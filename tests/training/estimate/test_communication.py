"""Traffic of a step, by hand."""

import pytest

from nava.config.cluster import ClusterConfig
from nava.training.estimate.communication import exchanged_bytes, traffic_of
from nava.training.estimate.parameters import Parameters
from nava.training.estimate.workload import largest_micro_batch
from tests.training.estimate.small_run import large_run, small_run

COUNT = 1_000_000
PARAMETERS = Parameters({"all layers": COUNT}, COUNT)
FOUR = ClusterConfig(gpus_per_node=4, intra_node_gb_s=100)


@pytest.mark.parametrize(
    ("stage", "gradients", "weights", "hidden"),
    [(0, 2, 0, 0), (1, 1, 1, 0), (2, 3, 1, 3), (3, 3, 6, 9)],
)
def test_volumes_by_stage(stage: int, gradients: int, weights: int, hidden: int) -> None:
    settings = small_run(cluster=FOUR, zero_stage=stage, micro_batches_per_step=12)
    found = traffic_of(settings, PARAMETERS, 0.0)
    once = 4 * COUNT * 3 / 4
    assert found.gradients == gradients * once
    assert found.weights == weights * once
    assert found.hidden_s == pytest.approx(hidden * once / 100e9)
    assert found.hidden_s + found.exposed_s == pytest.approx((gradients + weights) * once / 100e9)


def test_one_gpu_sends_nothing() -> None:
    found = traffic_of(small_run(micro_batches_per_step=3), PARAMETERS, 0.0)
    assert (found.gradients, found.weights, found.hidden_s, found.exposed_s) == (0, 0, 0, 0)


def test_between_nodes_the_slower_link_decides() -> None:
    inside = ClusterConfig(gpus_per_node=16, intra_node_gb_s=100, node_interconnect_gb_s=10)
    across = ClusterConfig(nodes=2, gpus_per_node=8, intra_node_gb_s=100, node_interconnect_gb_s=10)
    found = [
        traffic_of(small_run(cluster=cluster, micro_batches_per_step=16), PARAMETERS, 0.0)
        for cluster in (inside, across)
    ]
    assert found[1].exposed_s == pytest.approx(10 * found[0].exposed_s)


def test_only_adapters_are_summed_and_gathered() -> None:
    adapted = Parameters({"all layers": COUNT}, trained=1000, adapters=1000)
    found = traffic_of(small_run(cluster=FOUR, micro_batches_per_step=4), adapted, 0.0)
    assert found.gradients == found.weights == 4 * 1000 * 3 / 4


def test_tokens_are_exchanged_four_times_in_each_pass_of_a_block() -> None:
    cluster = ClusterConfig(gpus_per_node=4)
    settings = large_run(cluster, sequence_parallel=4)
    batch = largest_micro_batch(settings)
    own = batch.tokens.total / 4 * 3072 * 2
    assert exchanged_bytes(settings, batch) == pytest.approx(3 * 30 * 4 * own * 3 / 4)
    kept = settings.with_training(activation_checkpointing=False)
    assert exchanged_bytes(kept, batch) == pytest.approx(2 * 30 * 4 * own * 3 / 4)
    assert exchanged_bytes(settings.with_training(sequence_parallel=1), batch) == 0
