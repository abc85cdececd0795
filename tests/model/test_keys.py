"""The released model's tensors, without its weights."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from nava.config.model import MODELS, ModelConfig
from nava.model.keys import config_of, model_shapes, named_config, parameter_count
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


@pytest.mark.parametrize("name", list(MODELS))
def test_settings_survive_json(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps(asdict(MODELS[name]())))
    assert config_of(None, tmp_path / "config.json") == named_config(name)


def test_a_whole_number_is_a_number_and_null_may_be_a_setting(tmp_path):
    (tmp_path / "config.json").write_text('{"temporal_bias": 7, "audio_stem_hidden": null}')
    assert config_of(None, tmp_path / "config.json") == ModelConfig(audio_stem_hidden=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"dim": "x"}', 'dim is "x", but must be a whole number'),
        ('{"dim": "96"}', 'dim is "96", but must be a whole number'),
        ('{"dim": 96.0}', "dim is 96.0, but must be a whole number"),
        ('{"text_len": true}', "text_len is true, but must be a whole number"),
        ('{"patch_size": 3}', "patch_size is 3, but must be a list of 3 values, each a whole number"),
        ('{"patch_size": [1, 2]}', "patch_size is [1, 2], but must be a list of 3 values"),
        ('{"patch_size": [1, 2, "2"]}', 'patch_size is [1, 2, "2"], but must be a list of 3 values'),
        ('{"eps": null}', "eps is null, but must be a number"),
        ('{"eps": NaN}', "eps is NaN, but must be a number"),
        ('{"eps": {"a": 1}}', 'eps is {"a": 1}, but must be a number'),
        ('{"split_norm_ffn": 1}', "split_norm_ffn is 1, but must be true or false"),
        ('{"architecture": null}', "architecture is null, but must be text"),
        ('{"audio_stem_hidden": []}', "audio_stem_hidden is [], but must be a whole number or null"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_setting(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        config_of(None, path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("patch", [[0, 2, 2], [1, -2, 2]])
def test_patches_without_a_size_are_refused(tmp_path, patch):
    (tmp_path / "config.json").write_text(json.dumps({"patch_size": patch}))
    with pytest.raises(InputError, match=r"model\.patch_size"):
        config_of(None, tmp_path / "config.json")
