"""Back to the released names: exact in float32, rounded once in the narrower forms."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from nava.model.fp8 import FP8, eligible_linears, quantise_weight
from nava.model.keys import meta_model, model_shapes, named_config
from nava.model.weights.export import convert_weights, in_eight_bits, plan_of, report_of
from nava.model.weights.load import load_weights
from nava.runtime.errors import InputError


def assert_equal_files(one, other):
    first, second = load_file(one), load_file(other)
    assert set(first) == set(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor.float(), second[name].float()), name


def test_converting_to_the_form_it_has_changes_nothing(tmp_path, released_file):
    report = convert_weights(released_file, tmp_path / "again.safetensors", "fp32")
    assert_equal_files(tmp_path / "again.safetensors", released_file)
    assert report.quantised == 0
    assert report.size_bytes == 4 * report.parameters
    assert f"{report.tensors} tensors" in str(report)


def test_names_get_the_prefix_that_they_lack(tmp_path, released_file):
    tensors = {name.removeprefix("backbone."): tensor for name, tensor in load_file(released_file).items()}
    save_file(tensors, tmp_path / "plain.safetensors")
    convert_weights(tmp_path / "plain.safetensors", tmp_path / "released.safetensors", "fp32")
    assert_equal_files(tmp_path / "released.safetensors", released_file)


def test_a_legacy_checkpoint_becomes_the_released_file(tmp_path, released_file):
    torch.save({"state_dict": load_file(released_file)}, tmp_path / "NAVA.ckpt")
    convert_weights(tmp_path / "NAVA.ckpt", tmp_path / "NAVA2.safetensors", "fp32")
    assert_equal_files(tmp_path / "NAVA2.safetensors", released_file)


def test_bfloat16_is_rounded_once(tmp_path, released_file):
    convert_weights(released_file, tmp_path / "narrow.safetensors", "bf16")
    narrow = load_file(tmp_path / "narrow.safetensors")
    for name, tensor in load_file(released_file).items():
        assert torch.equal(narrow[name], tensor.bfloat16())


def test_eight_bits_are_values_and_one_scale_per_row(tmp_path, released_file):
    report = convert_weights(released_file, tmp_path / "eight.safetensors", "fp8")
    assert report.quantised == 56
    eight, wide = load_file(tmp_path / "eight.safetensors"), load_file(released_file)
    for name, tensor in wide.items():
        if not in_eight_bits(name, tuple(tensor.shape)):
            assert torch.equal(eight[name], tensor.bfloat16())
            continue
        values, scale = eight[name], eight[name + "_scale"]
        assert values.dtype == FP8
        assert torch.equal(values.float(), quantise_weight(tensor)[0].float())
        assert torch.equal(scale, (tensor.abs().amax(dim=1) / 448).bfloat16())
        back = values.float() * scale.float()[:, None]
        relative = torch.linalg.norm(back - tensor) / torch.linalg.norm(tensor)
        assert relative < 0.05, name
    assert len(eight) == len(wide) + 56


def test_eight_bits_twice_are_eight_bits_once(tmp_path, released_file):
    convert_weights(released_file, tmp_path / "once.safetensors", "fp8")
    convert_weights(tmp_path / "once.safetensors", tmp_path / "twice.safetensors", "fp8")
    assert_equal_files(tmp_path / "once.safetensors", tmp_path / "twice.safetensors")


def test_eight_bits_can_be_widened_again(tmp_path, released_file, config):
    convert_weights(released_file, tmp_path / "eight.safetensors", "fp8")
    convert_weights(tmp_path / "eight.safetensors", tmp_path / "wide.safetensors", "fp32")
    direct, through = meta_model(config), meta_model(config)
    load_weights(direct, tmp_path / "eight.safetensors")
    load_weights(through, tmp_path / "wide.safetensors")
    for one, other in zip(direct.state_dict().values(), through.state_dict().values()):
        assert torch.equal(one, other)


def test_shards_of_a_size(tmp_path, config, released_file):
    report = convert_weights(released_file, tmp_path / "m.safetensors", "bf16", max_shard_bytes=30_000)
    assert report.path.name == "m.safetensors.index.json"
    made = meta_model(config)
    assert load_weights(made, report.path).tensors == report.tensors


def test_which_tensors_of_the_release_are_rounded_to_eight_bits():
    shapes = {name.removeprefix("backbone."): tuple(shape) for name, shape in model_shapes("nava_6b").items()}
    chosen = {name for name, shape in shapes.items() if in_eight_bits(name, shape)}
    assert len(chosen) == 380
    assert chosen == {f"{name}.weight" for name in eligible_linears(meta_model(named_config("nava_6b")))}


def test_sizes_of_the_release(tmp_path):
    shapes = {name.removeprefix("backbone."): tuple(shape) for name, shape in model_shapes("nava_6b").items()}
    assert report_of(tmp_path, shapes, "fp32").size_bytes == 4 * 6_296_995_520
    assert report_of(tmp_path, shapes, "bf16").size_bytes == 2 * 6_296_995_520
    eight = report_of(tmp_path, shapes, "fp8")
    assert (eight.tensors, eight.quantised) == (1052, 380)
    assert 6.8e9 < eight.size_bytes < 7.0e9
    assert len(plan_of(shapes, "fp8")) == 1052 + 380


def test_a_file_without_blocks_is_no_model(tmp_path):
    save_file({"backbone.conv.weight": torch.ones(1)}, tmp_path / "vae.safetensors")
    with pytest.raises(InputError, match="holds no NAVA model"):
        convert_weights(tmp_path / "vae.safetensors", tmp_path / "out.safetensors", "bf16")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_of_another_model_is_refused_where_the_model_is_known(tmp_path, released_file):
    shapes = {name.removeprefix("backbone."): tuple(shape) for name, shape in model_shapes("tiny").items()}
    with pytest.raises(
        InputError, match=r"NAVA\.safetensors lacks 'double_blocks\.1\.self_attn\.q\.weight', .* \(and 45 more\)"
    ):
        convert_weights(released_file, tmp_path / "out.safetensors", "bf16", shapes=shapes)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
@pytest.mark.parametrize("form", ["fp32", "bf16", "fp8"])
def test_tensors_that_are_no_weights_are_refused_where_the_model_is_not_known(tmp_path, released_file, dtype, form):
    save_file(load_file(released_file) | {"backbone.step": torch.ones(2, dtype=dtype)}, tmp_path / "m.safetensors")
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError, match=rf"m\.safetensors holds 'backbone\.step' in {kind}, but weights are"):
        convert_weights(tmp_path / "m.safetensors", tmp_path / "out.safetensors", form)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_tensor_of_something_else_does_not_hide_the_model(tmp_path, released_file):
    save_file(load_file(released_file) | {"extra": torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"m\.safetensors holds 'extra', which no NAVA model has"):
        convert_weights(tmp_path / "m.safetensors", tmp_path / "out.safetensors", "bf16")
    assert not (tmp_path / "out.safetensors").exists()
