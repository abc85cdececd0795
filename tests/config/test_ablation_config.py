"""The variants of the ablation: what differs, what does not, and that they are of a size."""

from dataclasses import asdict

import pytest

from nava.config.ablation import REFERENCE, VARIANTS, AblationConfig
from nava.config.composition import compose, recipe_names
from nava.config.lora import LoraConfig
from nava.config.model import ModelConfig, without_layers
from nava.runtime.errors import InputError
from nava.runtime.step import typed_section
from nava.training.estimate.parameters import count_parameters

# Whole layers of the tiny model are large: three alignment layers are 5.3 % short of the reference.
TOLERANCE = {"demo": 0.06, "smoke": 0.06, "labelled": 0.06, "paper": 0.02, "finetune": 0.02, "lora": 0.02}


@pytest.mark.parametrize("recipe", recipe_names())
def test_variants_of_every_recipe_have_about_as_many_parameters(recipe: str) -> None:
    config = compose(recipe).config
    ablation = typed_section(AblationConfig, config["ablation"])
    model = typed_section(ModelConfig, config["model"])
    counts = {name: count_parameters(ablation.model_of(name, model), LoraConfig()).total for name in VARIANTS}
    assert len(set(counts.values())) == len(VARIANTS)
    for count in counts.values():
        assert abs(count / counts[REFERENCE] - 1) < TOLERANCE[recipe], counts


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_differ_in_architecture_and_layers_only(variant: str) -> None:
    model = ModelConfig(dim=48, text_len=7)
    found = AblationConfig().model_of(variant, model)
    bare, expected = without_layers(found), without_layers(model)
    assert asdict(bare) | {"architecture": ""} == asdict(expected) | {"architecture": ""}


def test_one_kind_of_layer_is_left_out() -> None:
    ablation = AblationConfig(hal_only_layers=7, ufl_only_layers=9)
    model = ModelConfig(num_final_hal_layers=1)
    assert ablation.model_of("hal_only", model).layers() == {
        "num_hal_layers": 7,
        "num_ufl_layers": 0,
        "num_final_hal_layers": 0,
    }
    assert ablation.model_of("ufl_only", model).layers()["num_ufl_layers"] == 9
    assert ablation.model_of("align_then_fuse", model) == model
    assert ablation.model_of("dual_tower", model).layers() == {"num_tower_layers": 2}
    assert ablation.model_of("trimodal", model).layers() == {"num_trimodal_layers": 7}


def test_the_recipes_architecture_does_not_matter() -> None:
    assert AblationConfig().model_of(REFERENCE, ModelConfig(architecture="trimodal")) == ModelConfig()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="the ablation's variant is 'unet'; it must be align_then_fuse or hal_only"):
        AblationConfig().model_of("unet", ModelConfig())
    with pytest.raises(InputError, match=r"model\.num_ufl_layers is 0; it must be at least 1"):
        AblationConfig().model_of(REFERENCE, ModelConfig(num_ufl_layers=0))
    with pytest.raises(InputError, match=r"ablation\.seeds is 0; it must be at least 1"):
        compose("demo", ["ablation.seeds=0"])
    with pytest.raises(InputError, match=r"ablation\.hal_only_layers is 0"):
        compose("demo", ["ablation.hal_only_layers=0"])
