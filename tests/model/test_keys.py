"""The released model's tensors, without its weights."""

import json
from pathlib import Path

import pytest

from nava.config.model import MODELS
from nava.model.keys import model_shapes, named_config, parameter_count
from nava.runtime.errors import InputError

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "nava_state_dict_keys.json"


def test_the_released_model_has_the_published_number_of_tensors_and_parameters():
    shapes = model_shapes("nava_6b")
    assert len(shapes) == 1052
    assert parameter_count(shapes) == 6_296_995_520


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the released state dict's listing is not here")
def test_names_and_shapes_are_the_released_ones():
    assert model_shapes("nava_6b") == json.loads(REFERENCE.read_text())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("nava_30hal", 7_808_050_880),
        ("nava_30ufl", 5_541_467_840),
        ("nava_20hal_10ufl", 7_052_523_200),
        ("nava_5hal_20ufl_5hal", 6_296_995_520),
    ],
)
def test_the_published_splits_have_their_sizes(name, count):
    assert parameter_count(model_shapes(name)) == count


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown model 'nava_7b'; there are tiny, nava_6b"):
        named_config("nava_7b")
    assert named_config("tiny") == MODELS["tiny"]()
