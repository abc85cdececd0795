"""Names with and without the released prefix; eight-bit weights with their scales."""

import re

import pytest
import torch
from safetensors.torch import save_file

from nava.model.fp8 import FP8, quantise_weight
from nava.model.weights.files import open_weights
from nava.model.weights.stored import StoredModel
from nava.runtime.errors import InputError

WEIGHT = torch.tensor([[1.0, -3.0], [0.5, 0.25]])
MARK = "head_audio__head__weight"


@pytest.fixture
def stored(tmp_path):
    """A model in a file, from tensors whose names have __ for a dot."""

    def stored(**tensors):
        save_file({name.replace("__", "."): value for name, value in tensors.items()}, tmp_path / "file")
        return StoredModel(open_weights(tmp_path / "file"))

    return stored


def eight_bits(scale_shape=(2,)):
    weight, scale = quantise_weight(WEIGHT)
    return {"q__weight": weight, "q__weight_scale": scale.reshape(scale_shape)}


def test_the_released_prefix_is_taken_off(stored):
    both = stored(backbone__a=torch.ones(1), backbone__b=torch.ones(2))
    assert list(both.tensors) == ["a", "b"]
    assert both.stored_name("a") == "backbone.a"
    assert both.foreign == []


def test_tensors_of_something_else_do_not_decide_about_the_prefix(stored):
    mixed = stored(**{"backbone__" + MARK: torch.ones(1), "backbone__b": torch.ones(2), "step": torch.ones(1)})
    assert set(mixed.tensors) == {"head_audio.head.weight", "b"}
    assert mixed.foreign == ["step"]
    plain = stored(**{MARK: torch.ones(1), "b": torch.ones(2), "backbone__c": torch.ones(1)})
    assert set(plain.tensors) == {"head_audio.head.weight", "b", "backbone.c"}
    assert plain.foreign == []


def test_a_tensor_comes_in_the_type_that_is_asked_for(stored):
    assert stored(a=torch.ones(2)).read("a", "cpu", torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_an_eight_bit_weight_is_widened_by_its_scales(stored, shape):
    model = stored(**eight_bits(shape))
    assert list(model.tensors) == ["q.weight"]
    assert model.quantised == {"q.weight"}
    assert torch.allclose(model.read("q.weight", "cpu", torch.float32), WEIGHT, rtol=0.07)
    weight, scale = model.read_quantised("q.weight", "cpu")
    assert weight.dtype == FP8
    assert scale.shape == (2,)
    assert scale.dtype == torch.bfloat16


def test_one_scale_for_all_rows_counts_for_each(stored):
    model = stored(q__weight=WEIGHT.to(FP8), q__weight_scale=torch.tensor(2.0, dtype=torch.bfloat16))
    assert torch.equal(model.read("q.weight", "cpu", torch.float32), 2 * WEIGHT.to(FP8).float())
    assert model.read_quantised("q.weight", "cpu")[1].tolist() == [2.0, 2.0]


def test_a_scale_is_a_tensor_like_any_other_beside_a_wide_weight(stored):
    assert list(stored(q__weight=WEIGHT, q__weight_scale=torch.ones(2)).tensors) == ["q.weight", "q.weight_scale"]


def test_an_eight_bit_weight_without_scale_is_refused(stored):
    with pytest.raises(InputError, match=r"file: 'q.weight' is stored in eight bits without its scale"):
        stored(q__weight=WEIGHT.to(FP8))


def test_scales_of_another_number_of_rows_are_refused(stored):
    with pytest.raises(InputError, match=r"file: 'q.weight_scale' has shape \[3\], not one value per row of its 2"):
        stored(q__weight=WEIGHT.to(FP8), q__weight_scale=torch.ones(3))


@pytest.mark.parametrize("shape", [(), (2,), (1, 2, 2)])
def test_only_matrices_are_in_eight_bits(stored, shape):
    with pytest.raises(
        InputError, match=rf"'q.weight' is stored in eight bits, but .* shape {re.escape(str(list(shape)))}"
    ):
        stored(q__weight=torch.ones(shape).to(FP8), q__weight_scale=torch.ones(2))
