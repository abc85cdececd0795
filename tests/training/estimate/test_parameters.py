"""Parameters: by part, equal to the model's own, with and without adapters."""

import re

import pytest

from nava.config.lora import LoraConfig
from nava.config.model import MODELS, release_config
from nava.model.architecture import build_model
from nava.runtime.errors import InputError
from nava.training.estimate.parameters import count_parameters
from tests.training.estimate.small_run import SMALL


def test_the_released_model_has_the_published_number_of_parameters() -> None:
    found = count_parameters(release_config(), LoraConfig())
    assert found.model == found.total == found.trained == 6_296_995_520
    assert found.adapters == 0


@pytest.mark.parametrize("name", MODELS)
def test_parts_add_up_to_the_model(name: str) -> None:
    config = MODELS[name]()
    built = build_model(config, device="meta")
    assert count_parameters(config, LoraConfig()).model == sum(p.numel() for p in built.parameters())


def test_parts_are_those_of_the_model() -> None:
    model = build_model(SMALL, device="meta")
    parts = count_parameters(SMALL, LoraConfig()).parts
    assert parts["alignment layers"] == sum(p.numel() for p in model.double_blocks.parameters())
    assert parts["fusion layers"] == sum(p.numel() for p in model.single_blocks.parameters())
    assert parts["audio stem"] == sum(p.numel() for p in model.patch_embedding_audio.parameters())


def test_adapters_are_two_matrices_per_layer() -> None:
    rank, dim = 8, SMALL.dim
    found = count_parameters(SMALL, LoraConfig(rank=rank))
    # Four projections of two attentions in each of three blocks; those of the sound have other names.
    assert found.trained == found.adapters == 3 * 2 * 4 * rank * (dim + dim)
    assert found.total == found.model + found.adapters
    audio = LoraConfig(rank=rank, targets=["q", "k", "v", "o", "q_audio", "k_audio", "v_audio", "o_audio"])
    assert count_parameters(SMALL, audio).adapters == (3 + 1) * 2 * 4 * rank * (dim + dim)


def test_only_layers_of_blocks_are_adapted() -> None:
    rank = 4
    found = count_parameters(SMALL, LoraConfig(rank=rank, targets=["0"]))
    # `0` is also the name of a layer of the text embedding.
    assert found.adapters == 3 * rank * (SMALL.dim + SMALL.ffn_dim)


def test_adapters_of_no_layer_are_refused() -> None:
    with pytest.raises(InputError, match=re.escape("training.lora.targets is ['query']: no linear layer")):
        count_parameters(SMALL, LoraConfig(rank=4, targets=["query"]))
