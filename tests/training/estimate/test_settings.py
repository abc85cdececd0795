"""Settings that cannot go together on a cluster are refused by name."""

import re
from typing import Any

import pytest

from nava.config.cluster import ClusterConfig
from nava.config.composition import compose
from nava.config.model import ModelConfig, release_config
from nava.runtime.errors import InputError
from nava.training.estimate.settings import RunSettings
from tests.training.estimate.small_run import SMALL, small_run


def test_sections_of_a_composed_recipe() -> None:
    settings = RunSettings.of(compose("paper").config)
    assert settings.model == release_config()
    assert (settings.cluster.gpus, settings.data_groups, settings.accumulation) == (128, 128, 4)
    assert settings.value_bytes == 2


def test_shards_by_stage() -> None:
    cluster = ClusterConfig(nodes=2, gpus_per_node=4)
    found = [small_run(cluster=cluster, zero_stage=stage) for stage in range(4)]
    assert [settings.optimizer_shards for settings in found] == [1, 8, 8, 8]
    assert [settings.weight_shards for settings in found] == [1, 1, 1, 8]


def test_processes_that_share_a_micro_batch_are_one_group() -> None:
    cluster = ClusterConfig(nodes=2, gpus_per_node=4)
    settings = small_run(cluster=cluster, sequence_parallel=4, micro_batches_per_step=6)
    settings.check()
    assert (settings.data_groups, settings.accumulation) == (2, 3)


@pytest.mark.parametrize(
    ("gpus", "training", "message"),
    [
        (4, {"micro_batches_per_step": 6}, "training.micro_batches_per_step is 6; 4 groups of processes can only"),
        (4, {"sequence_parallel": 3}, "training.sequence_parallel is 3, which does not divide 4 processes"),
        (8, {"sequence_parallel": 8}, "training.sequence_parallel is 8; it must divide model.num_heads = 4"),
        (2, {"engine": "plain", "micro_batches_per_step": 2}, "training.engine=plain runs in one process, not in 2"),
        (1, {"precision": "bf16", "zero_stage": 0}, "training.zero_stage is 0 with training.precision=bf16"),
        (1, {"compile": True, "zero_stage": 3}, "training.compile with training.zero_stage=3"),
    ],
)
def test_what_cannot_go_together_is_refused(gpus: int, training: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        small_run(cluster=ClusterConfig(gpus_per_node=gpus), **training).check()


def test_another_architecture_is_refused() -> None:
    with pytest.raises(InputError, match=r"model\.architecture is dual_tower"):
        small_run(ModelConfig(architecture="dual_tower")).check()
    small_run(SMALL).check()
