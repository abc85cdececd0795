"""Weights of every form into a model on the meta device: exact, strict, and held once."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nava.model.backbone import NavaTransformer
from nava.model.fp8 import FP8, Fp8Linear, with_empty_fp8_
from nava.model.keys import meta_model
from nava.model.weights.export import convert_weights, in_eight_bits
from nava.model.weights.load import load_weights
from nava.runtime.errors import InputError


def without_prefix(path: Path) -> dict[str, torch.Tensor]:
    return {name.removeprefix("backbone."): tensor for name, tensor in load_file(path).items()}


def assert_same(model: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    assert list(model.state_dict()) == list(expected)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def refused(model, path) -> str:
    """The message; nothing of the model may have been touched."""
    with pytest.raises(InputError) as error:
        load_weights(model, path)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    return str(error.value)


def test_the_released_file(config, model, released_file):
    made = meta_model(config)
    report = load_weights(made, released_file)
    assert_same(made, model)
    assert report.tensors == len(model.state_dict())
    assert report.parameters == sum(tensor.numel() for tensor in model.state_dict().values())
    assert report.stored_as == {"float32": report.tensors}
    assert (report.widened, report.quantised) == (0, 0)
    assert str(report).startswith(f"{released_file}: {report.tensors} tensors")


def test_names_without_the_prefix_and_in_shards(config, model, tmp_path, released_file):
    tensors = without_prefix(released_file)
    save_file(tensors, tmp_path / "plain.safetensors")
    made = meta_model(config)
    load_weights(made, tmp_path / "plain.safetensors")
    assert_same(made, model)
    index = convert_weights(released_file, tmp_path / "shards" / "m.safetensors", "fp32", max_shard_bytes=20_000).path
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 3
    for path in (index, index.parent):
        made = meta_model(config)
        assert load_weights(made, path).form == "sharded safetensors"
        assert_same(made, model)


def test_the_legacy_checkpoint(config, model, tmp_path, released_file):
    state = {"state_dict": load_file(released_file), "global_step": 5, "data_state": [torch.zeros(3)]}
    torch.save(state, tmp_path / "NAVA.ckpt")
    made = meta_model(config)
    assert load_weights(made, tmp_path / "NAVA.ckpt").form == "torch file"
    assert_same(made, model)


def test_the_loaded_model_computes_what_the_original_does(config, model, released_file):
    made = meta_model(config)
    load_weights(made, released_file)
    generator = torch.Generator().manual_seed(0)
    inputs = (
        torch.randn(1, 4, 2, 4, 4, generator=generator),
        torch.randn(1, 5, 6, generator=generator),
        torch.tensor([500.0]),
        torch.randn(1, 8, 16, generator=generator),
    )
    with torch.no_grad():
        for found, expected in zip(made(*inputs), model(*inputs)):
            assert torch.equal(found, expected)


def test_parameters_stay_parameters(config, released_file):
    made = meta_model(config)
    made.head.requires_grad_(False)
    load_weights(made, released_file)
    assert isinstance(made.time_projection[1].weight, nn.Parameter)
    assert made.time_projection[1].weight.requires_grad
    assert not made.head.head.weight.requires_grad


def test_a_model_with_values_gets_new_ones(config, model, released_file):
    made = NavaTransformer(config, seed=9)
    load_weights(made, released_file)
    assert_same(made, model)


def test_the_type_is_the_models_own_or_the_one_asked_for(config, released_file):
    kept = meta_model(config).bfloat16()
    load_weights(kept, released_file)
    asked = meta_model(config)
    seen: list[str] = []
    load_weights(asked, released_file, dtype=torch.bfloat16, each=seen.append)
    assert sorted(seen) == sorted(asked.state_dict())
    expected = without_prefix(released_file)
    for made in (kept, asked):
        for name, tensor in made.state_dict().items():
            assert tensor.dtype == torch.bfloat16
            assert torch.equal(tensor, expected[name].bfloat16())


@pytest.fixture
def eight_bit_file(tmp_path, released_file):
    """As the eight-bit sibling is described: e4m3 values, bfloat16 scales, the rest in bfloat16."""
    tensors = {}
    for name, tensor in load_file(released_file).items():
        if in_eight_bits(name, tuple(tensor.shape)):
            scale = (tensor.abs().amax(dim=1) / 448).bfloat16()
            tensors[name] = (tensor / scale.float()[:, None]).clamp(-448, 448).to(FP8)
            tensors[name + "_scale"] = scale
        else:
            tensors[name] = tensor.bfloat16()
    save_file(tensors, tmp_path / "NAVA_fp8.safetensors")
    return tmp_path / "NAVA_fp8.safetensors"


def test_eight_bit_weights_are_widened_for_a_wide_model(config, model, eight_bit_file):
    made = meta_model(config)
    report = load_weights(made, eight_bit_file)
    # Two alignment layers of 18 and two fusion layers of 10 matrices.
    assert (report.widened, report.quantised) == (56, 0)
    assert report.stored_as == {"float8_e4m3fn": 56, "bfloat16": report.tensors - 56}
    stored = without_prefix(eight_bit_file)
    for name, tensor in made.state_dict().items():
        assert tensor.dtype == torch.float32
        if name + "_scale" in stored:
            row_max = model.state_dict()[name].abs().amax(dim=1, keepdim=True)
            # Half a step of e4m3 at the top of a row is 16 of 448; the scale is rounded to 8 bits.
            assert ((tensor - model.state_dict()[name]).abs() <= row_max * (16 / 448 + 2**-8)).all(), name
        else:
            assert torch.equal(tensor, stored[name].float())


def test_eight_bit_weights_stay_so_in_a_model_that_has_them(config, eight_bit_file):
    made = meta_model(config)
    assert with_empty_fp8_(made, "dequantise") == 56
    report = load_weights(made, eight_bit_file, dtype=torch.bfloat16)
    assert (report.widened, report.quantised) == (0, 56)
    stored = without_prefix(eight_bit_file)
    found = made.state_dict()
    assert set(found) == set(stored)
    for name, tensor in stored.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name].float(), tensor.float()), name
    linear = made.single_blocks[0].ffn[0]
    assert isinstance(linear, Fp8Linear)
    assert linear(torch.ones(1, 24, dtype=torch.bfloat16)).isfinite().all()


def test_wide_weights_are_rounded_for_a_model_in_eight_bits(config, released_file, eight_bit_file):
    made = meta_model(config)
    with_empty_fp8_(made, "dequantise")
    assert load_weights(made, released_file).quantised == 56
    stored = without_prefix(eight_bit_file)
    for name in ("single_blocks.1.ffn.2.weight", "double_blocks.0.cross_attn.k_audio.weight"):
        assert torch.equal(made.get_buffer(name).float(), stored[name].float())
        assert torch.equal(made.get_buffer(name + "_scale"), stored[name + "_scale"])


def test_a_missing_tensor(config, tmp_path, released_file):
    tensors = load_file(released_file)
    del tensors["backbone.single_blocks.0.ffn.2.bias"]
    save_file(tensors, tmp_path / "m.safetensors")
    text = refused(meta_model(config), tmp_path / "m.safetensors")
    assert "lacks 'single_blocks.0.ffn.2.bias'" in text
    for name in list(tensors)[:7]:
        del tensors[name]
    save_file(tensors, tmp_path / "m.safetensors")
    assert "(and 5 more)" in refused(meta_model(config), tmp_path / "m.safetensors")


def test_an_unexpected_tensor_is_named_as_the_file_calls_it(config, tmp_path, released_file):
    save_file(load_file(released_file) | {"backbone.extra": torch.ones(1)}, tmp_path / "m.safetensors")
    text = refused(meta_model(config), tmp_path / "m.safetensors")
    assert "holds 'backbone.extra', which this model does not have" in text


@pytest.mark.parametrize("foreign", ["extra", "optimizer.head_audio.head.weight", "head.head.bias"])
def test_a_tensor_without_the_prefix_of_all_others(config, tmp_path, released_file, foreign):
    save_file(load_file(released_file) | {foreign: torch.ones(1)}, tmp_path / "m.safetensors")
    text = refused(meta_model(config), tmp_path / "m.safetensors")
    assert f"holds '{foreign}', which this model does not have" in text


def test_a_tensor_with_the_prefix_that_no_other_has(config, tmp_path, released_file):
    save_file(without_prefix(released_file) | {"backbone.extra": torch.ones(1)}, tmp_path / "m.safetensors")
    text = refused(meta_model(config), tmp_path / "m.safetensors")
    assert "holds 'backbone.extra', which this model does not have" in text


def test_a_tensor_that_is_not_floating_point(config, tmp_path, released_file):
    tensors = load_file(released_file)
    tensors["backbone.head.head.bias"] = torch.zeros(16, dtype=torch.int64)
    save_file(tensors, tmp_path / "m.safetensors")
    text = refused(meta_model(config), tmp_path / "m.safetensors")
    assert "holds 'backbone.head.head.bias' in int64, but weights are floating point" in text


def test_one_wrong_shape(config, tmp_path, released_file):
    tensors = load_file(released_file)
    tensors["backbone.head.head.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "m.safetensors")
    text = refused(meta_model(config), tmp_path / "m.safetensors")
    assert "'backbone.head.head.bias' has shape [3], the model needs [16]" in text


def test_a_file_cut_short(config, released_file):
    content = released_file.read_bytes()
    released_file.write_bytes(content[: len(content) * 2 // 3])
    assert "cut short in tensor 'backbone." in refused(meta_model(config), released_file)


def test_wan_weights_get_a_hint(config, tmp_path):
    save_file({"blocks.0.self_attn.q.weight": torch.ones(24, 24)}, tmp_path / "wan.safetensors")
    assert "nava model from-wan" in refused(meta_model(config), tmp_path / "wan.safetensors")


LAYERS, WIDTH = 50, 1024
FILE_MB = LAYERS * WIDTH * WIDTH * 4 / 2**20


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of memory can be set back on Linux only"
)
def test_the_host_holds_no_second_copy(tmp_path):
    tensors = {f"{layer}.weight": torch.full((WIDTH, WIDTH), float(layer)) for layer in range(LAYERS)}
    save_file(tensors, tmp_path / "m.safetensors")
    torch.save({"state_dict": tensors}, tmp_path / "m.ckpt")
    del tensors
    cases = [f"{tmp_path}/m.safetensors:float32", f"{tmp_path}/m.safetensors:bfloat16", f"{tmp_path}/m.ckpt:bfloat16"]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("peak_memory.py")), str(LAYERS), str(WIDTH), *cases],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": ""},
    )
    same_type, narrower, mapped = (float(line) / FILE_MB for line in done.stdout.split())
    # In copies of the file: one target of the same type, where a second copy would make it 2.
    assert 0.9 < same_type < 1.3
    # A target half as large as the file, where holding the file as well would make it 1.5.
    assert 0.45 < narrower < 0.8
    # The same from a mapped file, whose pages count until it is mapped anew (here after 64 MB).
    assert 0.45 < mapped < 1.05
