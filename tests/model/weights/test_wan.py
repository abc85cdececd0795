"""NAVA from Wan2.2 weights: the video branch computes what Wan computes, and the report says what is new."""

import json

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import nn

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer
from nava.model.keys import meta_model, shapes_of
from nava.model.weights.load import load_weights
from nava.model.weights.wan import write_from_wan
from nava.model.weights.wan_names import original_name
from nava.runtime.errors import InputError

BLOCKS = 4
SPLITS = {"one of each": (1, 2, 1), "all alignment": (4, 0, 0), "all fusion": (0, 4, 0)}


def nava(split: str = "one of each", **changes) -> ModelConfig:
    hal, ufl, final = SPLITS[split]
    settings = {
        "dim": 24,
        "ffn_dim": 48,
        "freq_dim": 16,
        "num_heads": 2,
        "num_hal_layers": hal,
        "num_ufl_layers": ufl,
        "num_final_hal_layers": final,
        "video_channels": 4,
        "audio_channels": 6,
        "text_len": 8,
        "text_dim": 16,
        "audio_stem_hidden": 16,
        "speaker_dim": 8,
        "zero_init_heads": False,
        "temporal_bias": 0.0,
    }
    return ModelConfig(**settings | changes)


@pytest.fixture(scope="module")
def wan() -> WanTransformer3DModel:
    """A tiny Wan2.2 transformer with a different value everywhere."""
    torch.manual_seed(0)
    model = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=16,
        ffn_dim=48,
        num_layers=BLOCKS,
        eps=1e-6,
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    return model.eval().requires_grad_(False)


def original(wan) -> dict[str, torch.Tensor]:
    return {original_name(name): tensor.contiguous() for name, tensor in wan.state_dict().items()}


@pytest.fixture(params=["diffusers folder", "safetensors", "shards", "pth"])
def wan_file(request, tmp_path, wan):
    folder = tmp_path / "wan"
    folder.mkdir()
    match request.param:
        case "diffusers folder":
            wan.save_pretrained(folder / "transformer", max_shard_size="40KB")
            return folder
        case "safetensors":
            save_file(original(wan), folder / "wan.safetensors")
            return folder / "wan.safetensors"
        case "shards":
            state = original(wan)
            names = list(state)
            halves = {"1.safetensors": names[::2], "2.safetensors": names[1::2]}
            for file, chosen in halves.items():
                save_file({name: state[name] for name in chosen}, folder / file)
            listed = {name: file for file, chosen in halves.items() for name in chosen}
            (folder / "d.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
            return folder
    torch.save(original(wan), folder / "wan.pth")
    return folder / "wan.pth"


@pytest.fixture
def plain_file(tmp_path, wan):
    save_file(original(wan), tmp_path / "wan.safetensors")
    return tmp_path / "wan.safetensors"


def assert_computes_like(wan, model, rows: int) -> None:
    """Video alone, at two times, odd numbers of frames, and a text of `rows` rows."""
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(2, 4, 3, 6, 4, generator=generator)
    text = torch.randn(2, rows, 16, generator=generator)
    time = torch.tensor([999.0, 250.0])
    # Wan's pipeline pads the text with zero rows and attends to all of them, NAVA pads inside.
    padded = torch.nn.functional.pad(text, (0, 0, 0, 8 - rows))
    with torch.no_grad():
        expected = wan(video, time, padded, return_dict=False)[0]
        found, audio = model(video, None, time, text)
    assert audio is None
    assert (found - expected).abs().max() / expected.abs().max() < 1e-5


@pytest.mark.parametrize("split", SPLITS)
def test_the_video_branch_computes_what_wan_computes(tmp_path, wan, plain_file, split):
    config = nava(split)
    target, _ = write_from_wan(plain_file, config, tmp_path / "nava.safetensors")
    model = meta_model(config)
    load_weights(model, target)
    assert_computes_like(wan, model.eval(), rows=8)
    assert_computes_like(wan, model.eval(), rows=5)


def test_both_namings_and_every_form_of_file(tmp_path, wan, wan_file):
    target, report = write_from_wan(wan_file, nava(), tmp_path / "nava.safetensors")
    model = meta_model(nava())
    load_weights(model, target)
    assert report.naming == ("diffusers" if wan_file.is_dir() and (wan_file / "transformer").is_dir() else "original")
    assert_computes_like(wan, model.eval(), rows=8)


def test_what_is_copied_and_what_is_new(tmp_path, wan, plain_file):
    target, report = write_from_wan(plain_file, nava(), tmp_path / "nava.safetensors", seed=7)
    stored = {name.removeprefix("backbone."): tensor for name, tensor in load_file(target).items()}
    fresh, source = NavaTransformer(nava(), seed=7).state_dict(), original(wan)
    assert [tensor.name for tensor in report.tensors] == list(shapes_of(meta_model(nava())))
    for tensor in report.tensors:
        assert tensor.shape == tuple(stored[tensor.name].shape)
        if tensor.source is None:
            assert torch.equal(stored[tensor.name], fresh[tensor.name]), tensor.name
            assert tensor.how.startswith("new: ")
        else:
            assert torch.equal(stored[tensor.name], source[tensor.source]), tensor.name
            assert tensor.how == "copied from Wan"
    new = {tensor.name for tensor in report.tensors if tensor.source is None}
    assert new == {name for name in stored if "_audio." in name or name.startswith("speaker_embedding.")}
    assert {tensor.source for tensor in report.tensors} - {None} == set(source)


def test_the_audio_stream_can_start_as_the_video_stream(tmp_path, wan, plain_file):
    target, report = write_from_wan(plain_file, nava(), tmp_path / "nava.safetensors", audio_from="video")
    stored = {name.removeprefix("backbone."): tensor for name, tensor in load_file(target).items()}
    for kind in ("double_blocks", "double_final_blocks"):
        for part in ("self_attn", "cross_attn"):
            for name in ("q", "k", "v", "o"):
                assert torch.equal(
                    stored[f"{kind}.0.{part}.{name}_audio.weight"], stored[f"{kind}.0.{part}.{name}.weight"]
                )
    assert torch.equal(stored["head_audio.modulation"], stored["head.modulation"])
    new = {tensor.name.split(".")[0] for tensor in report.tensors if tensor.source is None}
    assert new == {"patch_embedding_audio", "head_audio", "speaker_embedding"}
    assert "copied from Wan, the video stream's" in {tensor.how for tensor in report.tensors}


def test_separate_feed_forward_networks_are_both_filled(tmp_path, wan, plain_file):
    config = nava(split_norm_ffn=True)
    target, _ = write_from_wan(plain_file, config, tmp_path / "nava.safetensors", audio_from="video")
    model = meta_model(config)
    load_weights(model, target)
    block = model.double_blocks[0]
    assert torch.equal(block.ffn_audio[0].weight, block.ffn[0].weight)
    assert torch.equal(block.norm3_audio.bias, original(wan)["blocks.0.norm3.bias"])


def test_the_report_as_json_and_as_a_table(tmp_path, plain_file):
    _, report = write_from_wan(plain_file, nava(), tmp_path / "nava.safetensors", seed=7)
    value = json.loads(json.dumps(report.as_json()))
    total = sum(torch.Size(shape).numel() for shape in shapes_of(meta_model(nava())).values())
    assert value["copied"]["parameters"] + value["new"]["parameters"] == total
    assert value["copied"]["tensors"] == BLOCKS * 27 + 15
    assert (value["wan"], value["audio_from"], value["seed"]) == (str(plain_file), "fresh", 7)
    assert value["config"]["num_hal_layers"] == 1
    assert {"name", "shape", "source", "how"} == set(value["tensors"][0])
    lines = report.table().splitlines()
    assert lines[0].split() == ["part", "tensors", "parameters", "values"]
    parameters = [int(line.split("  new")[0].split("  copied")[0].split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(parameters) == total
    assert any(line.startswith("audio stem") and "new: uniform" in line for line in lines)
    assert any(line.startswith("fusion layers") and line.endswith("copied from Wan") for line in lines)


def test_narrower_forms(tmp_path, wan, plain_file):
    target, _ = write_from_wan(plain_file, nava(), tmp_path / "m.safetensors", form="bf16", max_shard_bytes=60_000)
    assert target.name == "m.safetensors.index.json"
    model = meta_model(nava())
    assert set(load_weights(model, target).stored_as) == {"bfloat16"}
    assert torch.equal(model.head.head.bias, original(wan)["head.head.bias"].bfloat16().float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_ufl_layers": 3}, "has 4 blocks, the model 5"),
        ({"dim": 48}, r"has shape \[24, 4, 1, 2, 2\], 'patch_embedding.weight' needs \[48"),
        ({"text_dim": 20}, r"'text_embedding.0.weight' has shape \[24, 16\]"),
        ({"architecture": "dual_tower"}, "not dual_tower"),
    ],
)
def test_a_model_that_does_not_fit(tmp_path, plain_file, change, message):
    with pytest.raises(InputError, match=message):
        write_from_wan(plain_file, nava(**change), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop("blocks.2.ffn.0.bias"), "lacks 'blocks.2.ffn.0.bias'"),
        (
            lambda state: state.update({"img_emb.proj.bias": torch.ones(1)}),
            "holds 'img_emb.proj.bias', which NAVA has no",
        ),
        (lambda state: state.update({"head.head.bias": torch.ones(1)}), r"'head.head.bias' has shape \[1\]"),
        (lambda state: [state.pop(name) for name in list(state) if name.startswith("blocks.0.")], "not Wan2.2 weights"),
    ],
)
def test_a_file_that_is_not_whole(tmp_path, wan, edit, message):
    state = original(wan)
    edit(state)
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(InputError, match=message) as error:
        write_from_wan(tmp_path / "odd.safetensors", nava(), tmp_path / "out.safetensors")
    assert str(tmp_path / "odd.safetensors") in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_diffusers_tensor_that_wan22_has_not(tmp_path, wan):
    state = {name: tensor.contiguous() for name, tensor in wan.state_dict().items()}
    state["condition_embedder.image_embedder.norm1.weight"] = torch.ones(1)
    save_file(state, tmp_path / "i2v.safetensors")
    with pytest.raises(InputError, match=r"image_embedder.norm1.weight' is not a tensor of Wan2.2-TI2V"):
        write_from_wan(tmp_path / "i2v.safetensors", nava(), tmp_path / "out.safetensors")
