"""The section `cluster`: refused values, and that it decides no result."""

import re
from typing import Any

import pytest

from nava.config.cluster import ClusterConfig
from nava.config.composition import compose
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": 0}, "cluster.nodes is 0; it must be at least 1"),
        ({"gpus_per_node": 0}, "cluster.gpus_per_node is 0; it must be at least 1"),
        ({"gpu_memory_gib": 0.0}, "cluster.gpu_memory_gib is 0.0; it must be above 0"),
        ({"gpu_memory_gb_s": -1.0}, "cluster.gpu_memory_gb_s is -1.0; it must be above 0"),
        ({"peak_bf16_tflops": 0.0}, "cluster.peak_bf16_tflops is 0.0; it must be above 0"),
        ({"peak_fp32_tflops": 0.0}, "cluster.peak_fp32_tflops is 0.0; it must be above 0"),
        ({"node_interconnect_gb_s": 0.0}, "cluster.node_interconnect_gb_s is 0.0; it must be above 0"),
        ({"intra_node_gb_s": 0.0}, "cluster.intra_node_gb_s is 0.0; it must be above 0"),
        ({"assumed_mfu": 1.1}, "cluster.assumed_mfu is 1.1; it must be above 0 and at most 1"),
        ({"memory_reserve": 1.0}, "cluster.memory_reserve is 1.0; it must be from 0 to below 1"),
        ({"price_usd_per_gpu_hour": -1.0}, "cluster.price_usd_per_gpu_hour is -1.0; it must be at least 0"),
    ],
)
def test_values_that_no_cluster_has_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ClusterConfig(**values).check()


def test_the_defaults_are_one_gpu() -> None:
    ClusterConfig().check()
    assert ClusterConfig().gpus == 1
    assert ClusterConfig(nodes=3, gpus_per_node=8).gpus == 24


def test_the_cluster_changes_no_result() -> None:
    changes = ["cluster.nodes=4", "cluster.gpu=B200", "cluster.assumed_mfu=0.3", "cluster.price_usd_per_gpu_hour=3"]
    assert compose("demo", changes).identity == compose("demo").identity
    assert compose("demo", changes).config["cluster"]["gpu"] == "B200"
