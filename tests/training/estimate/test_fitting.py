"""What does not fit is refused, and what is advised does fit."""

import re

import pytest

from nava.config.cluster import ClusterConfig
from nava.config.composition import compose
from nava.runtime.errors import InputError
from nava.training.estimate.fitting import require_fit
from nava.training.estimate.memory import memory_of
from nava.training.estimate.parameters import count_parameters
from nava.training.estimate.plan import dry_run
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import largest_micro_batch
from tests.training.estimate.small_run import large_run, small_run

EIGHT = ClusterConfig(gpus_per_node=8)


def refusal(settings: RunSettings) -> str:
    parameters = count_parameters(settings.model, settings.training.lora)
    memory = memory_of(settings, parameters, largest_micro_batch(settings))
    with pytest.raises(InputError) as caught:
        require_fit(settings, memory)
    return str(caught.value)


def test_what_fits_is_not_refused() -> None:
    settings = small_run()
    require_fit(
        settings,
        memory_of(settings, count_parameters(settings.model, settings.training.lora), largest_micro_batch(settings)),
    )


def test_activations_that_are_kept_are_named() -> None:
    message = refusal(large_run(EIGHT, activation_checkpointing=False))
    assert "an H100 has 79.6 GiB; the largest part is activations kept" in message
    assert "it would fit with training.activation_checkpointing=true" in message


def test_a_combination_is_found_when_no_single_change_is_enough() -> None:
    message = refusal(large_run(EIGHT, activation_checkpointing=False, precision="fp32", micro_batch_size=4))
    assert "training.activation_checkpointing=true" in message
    assert message.count("=") >= 2


def test_one_gpu_cannot_train_the_released_model() -> None:
    message = refusal(large_run())
    assert "the largest part is optimizer (Adam moments, float32 weights), 70.4 GiB" in message
    assert message.endswith(
        "no setting makes it fit: take more or larger GPUs, shorter or smaller clips, or adapters (training.lora)"
    )


def test_adapters_are_not_advised_to_who_has_them() -> None:
    with pytest.raises(InputError, match=r"shorter or smaller clips$"):
        dry_run(compose("lora", ["cluster.gpu_memory_gib=8"]).config, "lora")


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.activation_checkpointing=false"],
        ["training.activation_checkpointing=false", "training.precision=fp32"],
        ["cluster.gpu_memory_gib=32"],
        ["training.precision=fp32", "training.micro_batch_size=8", "training.micro_batches_per_step=128"],
    ],
)
def test_what_is_advised_for_the_paper_fits(overrides: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        dry_run(compose("paper", overrides).config, "paper")
    message = str(caught.value)
    assert message.startswith("recipe 'paper' does not fit: ")
    advice = re.search("it would fit with (.*)", message)
    assert advice is not None
    for alternative in advice[1].split(" or with "):
        assert dry_run(compose("paper", overrides + alternative.split()).config, "paper").memory.fits
