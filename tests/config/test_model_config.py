from dataclasses import asdict

import pytest

from nava.config.composition import compose
from nava.config.model import ARCHITECTURES, MODELS, ModelConfig, release_config, released_split, without_layers
from nava.runtime.errors import InputError


def test_named_models_are_valid():
    for make in MODELS.values():
        make().check()
        assert make() == make()
        assert make() is not make()


def test_every_architecture_has_a_released_and_a_tiny_size():
    sizes = {(make().architecture, make().dim) for make in MODELS.values()}
    assert {(name, dim) for name in ARCHITECTURES for dim in (96, 3072)} <= sizes


def test_ablations_differ_from_the_release_in_nothing_but_the_architecture():
    released = asdict(release_config())
    for name in ("dual_tower_6b", "trimodal_6b"):
        changed = {key for key, value in asdict(MODELS[name]()).items() if value != released[key]}
        assert changed == {"architecture"}


def test_a_released_split_keeps_the_sizes():
    split = released_split(5, 20, 5)
    assert (split.num_hal_layers, split.num_ufl_layers, split.num_final_hal_layers) == (5, 20, 5)
    assert released_split(10, 20) == release_config()


def test_stem_width_follows_the_release_unless_given():
    assert release_config().stem_hidden == 8192
    assert ModelConfig(dim=96, audio_stem_hidden=None).stem_hidden == 256
    assert ModelConfig(audio_stem_hidden=100).stem_hidden == 100


def test_without_layers_leaves_the_original_alone():
    config = release_config()
    bare = without_layers(config)
    assert (bare.num_hal_layers, bare.num_ufl_layers, bare.num_tower_layers, bare.num_trimodal_layers) == (0, 0, 0, 0)
    assert bare.dim == config.dim
    assert config == release_config()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": "unet"},
            "model.architecture is 'unet'; it must be align_then_fuse or dual_tower or trimodal",
        ),
        ({"dim": 0}, "model.dim is 0; it must be at least 1"),
        ({"dim": 98}, "model.dim is 98; it must be a multiple of 2 x model.num_heads = 8"),
        ({"dim": 100}, "model.dim is 100; it must be a multiple of 2 x model.num_heads = 8"),
        ({"num_heads": 0}, "model.num_heads is 0; it must be at least 1"),
        ({"text_len": 0}, "model.text_len is 0; it must be at least 1"),
        ({"num_ufl_layers": -1}, "model.num_ufl_layers is -1; it must be at least 0"),
        ({"speaker_dim": -1}, "model.speaker_dim is -1; it must be at least 0"),
        ({"num_hal_layers": 0, "num_ufl_layers": 0}, "model.num_hal_layers is 0; it must be at least 1"),
        ({"architecture": "dual_tower", "num_tower_layers": 0}, "model.num_tower_layers is 0; it must be at least 1"),
        ({"architecture": "trimodal", "num_trimodal_layers": 0}, "model.num_trimodal_layers is 0; it must be at least"),
    ],
)
def test_what_no_model_could_have_is_refused(settings, message):
    with pytest.raises(InputError) as refused:
        ModelConfig(**settings).check()
    assert str(refused.value).startswith(message)


def test_layers_of_other_architectures_do_not_matter():
    ModelConfig(architecture="trimodal", num_hal_layers=0, num_ufl_layers=0, num_tower_layers=0).check()
    ModelConfig(num_tower_layers=0, num_trimodal_layers=0).check()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_architecture_is_a_setting_of_every_recipe(architecture):
    config = compose("demo", [f"model.architecture={architecture}"]).config["model"]
    ModelConfig(**config).check()
    assert config["architecture"] == architecture


def test_an_unknown_architecture_stops_a_recipe():
    with pytest.raises(InputError, match="it must be align_then_fuse or dual_tower or trimodal"):
        compose("demo", ["model.architecture=unet"])
