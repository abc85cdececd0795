"""The key map from diffusers' and Wan's own names to NAVA's, against the classes themselves."""

import pytest
from diffusers import WanTransformer3DModel

from nava.model.keys import meta_model, model_shapes, named_config, shapes_of
from nava.model.weights.wan_names import naming_of, original_name, wan_source
from nava.runtime.errors import InputError


@pytest.fixture(scope="module")
def diffusers_names():
    model = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=16,
        ffn_dim=48,
        num_layers=4,
    )
    return list(model.state_dict())


def test_every_diffusers_name_has_an_original_one(diffusers_names):
    originals = [original_name(name) for name in diffusers_names]
    assert None not in originals
    assert len(set(originals)) == len(originals)


@pytest.mark.parametrize(
    ("diffusers", "original"),
    [
        ("patch_embedding.weight", "patch_embedding.weight"),
        ("condition_embedder.time_embedder.linear_2.bias", "time_embedding.2.bias"),
        ("condition_embedder.time_proj.weight", "time_projection.1.weight"),
        ("condition_embedder.text_embedder.linear_1.weight", "text_embedding.0.weight"),
        ("scale_shift_table", "head.modulation"),
        ("proj_out.bias", "head.head.bias"),
        ("blocks.3.scale_shift_table", "blocks.3.modulation"),
        ("blocks.12.attn1.to_out.0.weight", "blocks.12.self_attn.o.weight"),
        ("blocks.0.attn2.norm_k.weight", "blocks.0.cross_attn.norm_k.weight"),
        ("blocks.0.norm2.bias", "blocks.0.norm3.bias"),
        ("blocks.0.ffn.net.0.proj.weight", "blocks.0.ffn.0.weight"),
        ("blocks.0.ffn.net.2.weight", "blocks.0.ffn.2.weight"),
        # Wan2.1's image branch and names of nobody.
        ("condition_embedder.image_embedder.norm1.weight", None),
        ("blocks.0.attn2.add_k_proj.weight", None),
        ("blocks.0.norm1.weight", None),
        ("scale_shift_table.weight", None),
    ],
)
def test_original_names(diffusers, original):
    assert original_name(diffusers) == original


def test_every_original_tensor_goes_somewhere(diffusers_names, config):
    sources = [wan_source(name, config) for name in shapes_of(meta_model(config))]
    own = {source for source, audio in filter(None, sources) if not audio}
    copies = {source for source, audio in filter(None, sources) if audio}
    assert own == {original_name(name) for name in diffusers_names}
    assert copies <= own


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("double_blocks.9.self_attn.q.weight", ("blocks.9.self_attn.q.weight", False)),
        ("double_blocks.9.self_attn.norm_k_audio.weight", ("blocks.9.self_attn.norm_k.weight", True)),
        ("double_blocks.0.cross_attn.o_audio.bias", ("blocks.0.cross_attn.o.bias", True)),
        ("double_blocks.0.modulation.modulation", ("blocks.0.modulation", False)),
        ("double_blocks.0.modulation_audio.modulation", ("blocks.0.modulation", True)),
        ("double_blocks.0.norm3_audio.weight", ("blocks.0.norm3.weight", True)),
        ("double_blocks.0.ffn_audio.2.bias", ("blocks.0.ffn.2.bias", True)),
        ("single_blocks.0.ffn.0.weight", ("blocks.10.ffn.0.weight", False)),
        ("single_blocks.19.modulation.modulation", ("blocks.29.modulation", False)),
        ("head.modulation", ("head.modulation", False)),
        ("head_audio.modulation", ("head.modulation", True)),
        ("head_audio.head.weight", None),
        ("patch_embedding.weight", ("patch_embedding.weight", False)),
        ("patch_embedding_audio.2.w1.weight", None),
        ("speaker_embedding.null_token", None),
    ],
)
def test_sources_in_the_released_model(name, source):
    assert wan_source(name, named_config("nava_6b")) == source


def test_final_alignment_layers_come_after_the_fusion_layers():
    config = named_config("nava_5hal_20ufl_5hal")
    assert wan_source("double_final_blocks.4.ffn.0.bias", config) == ("blocks.29.ffn.0.bias", False)


def test_the_release_is_grown_from_thirty_blocks():
    names = [name.removeprefix("backbone.") for name in model_shapes("nava_6b")]
    found = [source for source in (wan_source(name, named_config("nava_6b")) for name in names) if source]
    own = {source for source, audio in found if not audio}
    # Wan2.2-TI2V-5B: 27 tensors in each of 30 blocks, and 15 outside.
    assert len(own) == 30 * 27 + 15


def test_naming(diffusers_names):
    assert naming_of(diffusers_names) == "diffusers"
    assert naming_of([original_name(name) for name in diffusers_names]) == "original"
    with pytest.raises(InputError, match=r"not Wan2\.2 weights"):
        naming_of(["double_blocks.0.self_attn.q.weight"])
