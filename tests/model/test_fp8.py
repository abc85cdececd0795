import copy

import pytest
import torch
from torch import nn

from nava.config.model import ModelConfig, release_config
from nava.model.backbone import NavaTransformer
from nava.model.compilation import compile_model
from nava.model.fp8 import (
    FP8,
    Fp8Linear,
    best_kernel,
    dequantise_weight,
    eligible_linears,
    quantise_,
    quantise_weight,
    with_empty_fp8_,
)

SETTINGS = {"dim": 64, "ffn_dim": 96, "num_heads": 4, "num_hal_layers": 1, "num_ufl_layers": 1, "text_len": 6}
SETTINGS |= {"text_dim": 7, "video_channels": 3, "audio_channels": 5, "audio_stem_hidden": 16, "zero_init_heads": False}
SIZES = [(48, 64), (32, 176), (64, 16)]


def weight(out_features=48, in_features=64):
    """Rows of very different sizes, as trained weights have."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.logspace(-4, 1, out_features)[:, None]
    return rows * torch.randn(out_features, in_features, generator=generator)


def linear_map(out_features=48, in_features=64):
    made = nn.Linear(in_features, out_features)
    with torch.no_grad():
        made.weight.copy_(weight(out_features, in_features))
        made.bias.copy_(torch.linspace(-1, 1, out_features))
    return made


def features(rows=33, width=64):
    return torch.randn(2, rows, width, generator=torch.Generator().manual_seed(4))


def relative(got, want):
    return ((got - want).float().norm() / want.float().norm()).item()


def cosine(got, want):
    return torch.nn.functional.cosine_similarity(got.detach().float().flatten(), want.float().flatten(), dim=0).item()


def model(**changes):
    built = NavaTransformer(ModelConfig(**(SETTINGS | changes)), seed=5)
    with torch.no_grad():
        built.head.head.weight.normal_(std=0.2, generator=torch.Generator().manual_seed(6))
    return built.eval()


def inputs():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 2, 4, 4), (2, 9, 5))
    video, audio = (torch.randn(shape, generator=generator) for shape in shapes)
    return video, audio, torch.tensor([300.0, 900.0]), torch.randn(2, 6, 7, generator=generator)


def tensor_bytes(module):
    return sum(t.numel() * t.element_size() for t in module.state_dict().values())


def test_scale_is_the_largest_value_of_each_row_over_448():
    wide = weight()
    values, scale = quantise_weight(wide)
    assert (values.dtype, scale.dtype, tuple(scale.shape)) == (FP8, torch.bfloat16, (48,))
    torch.testing.assert_close(scale.float(), wide.abs().amax(1) / 448, rtol=2**-8, atol=0)
    # Every row uses the whole range, however small it is.
    assert (values.float().abs().amax(1) >= 416).all()


def test_rounding_error_is_that_of_three_mantissa_bits():
    wide = weight()
    back = dequantise_weight(*quantise_weight(wide), torch.float32)
    for row, want in zip(back, wide):
        # Above the subnormal range a value moves by at most half a step of 1/8, that is 1/16 of itself.
        normal = want.abs() > want.abs().max() / 448 * 2**-6 * 1.01
        assert ((row - want).abs() <= want.abs() / 16 * 1.0001 + 1e-12)[normal].all()
        assert relative(row, want) < 0.035


def test_a_scale_rounded_down_does_not_overflow():
    # 1.00390625 / 448 has no bfloat16 of its own; of these rows some scales are rounded down.
    wide = torch.linspace(1, 2, 64)[:, None].expand(64, 16).contiguous()
    values, scale = quantise_weight(wide)
    assert (scale.float() * 448 < wide.amax(1)).any()
    assert values.float().isfinite().all()
    assert relative(dequantise_weight(values, scale, torch.float32), wide) < 0.005


def test_zero_rows_stay_zero():
    wide = weight()
    wide[3] = 0
    assert (dequantise_weight(*quantise_weight(wide), torch.float32)[3] == 0).all()


def test_quantising_what_was_quantised_changes_nothing():
    values, scale = quantise_weight(weight())
    again, scale_again = quantise_weight(dequantise_weight(values, scale, torch.float32))
    # Scales differ where the largest value was rounded; what they stand for differs by less than a step.
    wide, twice = (dequantise_weight(v, s, torch.float32) for v, s in ((values, scale), (again, scale_again)))
    assert cosine(twice, wide) > 0.9995
    same = scale == scale_again
    assert same.any()
    assert torch.equal(values[same].float(), again[same].float())


@pytest.mark.parametrize("size", SIZES)
def test_dequantising_layer_is_a_linear_map_with_the_dequantised_weight(size):
    source = linear_map(*size)
    quantised = Fp8Linear.from_linear(source)
    x = features(width=size[1])
    wide = dequantise_weight(quantised.weight, quantised.weight_scale, torch.float32)
    assert torch.equal(quantised(x), nn.functional.linear(x, wide, source.bias))
    assert cosine(quantised(x), source(x)) > 0.999
    assert relative(quantised(x), source(x)) < 0.045


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_scaled_product_rounds_the_input_too_and_stays_close(size):
    source = linear_map(*size)
    exact, quantised = (Fp8Linear.from_linear(source, kernel) for kernel in ("dequantise", "scaled_mm"))
    x = features(width=size[1])
    x[0, 0] *= 1e4  # one loud token does not cost the others their precision
    got = quantised(x)
    assert (got.dtype, got.shape) == (torch.float32, source(x).shape)
    assert not torch.equal(got, exact(x))
    for row, want in zip(got.flatten(0, 1), source(x).flatten(0, 1)):
        assert cosine(row, want) > 0.985
    assert cosine(got[0, 1:], source(x)[0, 1:]) > 0.998
    # A batch is as good as one token, whatever the number of axes.
    torch.testing.assert_close(quantised(x[1, 5]), got[1, 5], rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_scaled_product_of_a_zero_row_is_the_bias():
    source = linear_map()
    quantised = Fp8Linear.from_linear(source, "scaled_mm")
    torch.testing.assert_close(quantised(torch.zeros(1, 64))[0], source.bias.bfloat16().float(), rtol=0, atol=0)


def test_sizes_that_the_product_cannot_take_are_dequantised():
    assert Fp8Linear(24, 32, kernel="scaled_mm").kernel == "dequantise"
    assert Fp8Linear(32, 32, kernel="scaled_mm").kernel == "scaled_mm"
    assert best_kernel(torch.device("cpu")) == "dequantise"


def test_result_dtype_is_that_of_a_linear_map():
    source = linear_map()
    for kernel in ("dequantise", "scaled_mm"):
        quantised = Fp8Linear.from_linear(source, kernel)
        with torch.no_grad():
            assert quantised(features()).dtype == torch.float32
            assert quantised(features().bfloat16()).dtype == torch.bfloat16
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert quantised(features()).dtype == torch.bfloat16


def test_change_of_dtype_leaves_the_stored_weight_alone():
    quantised = Fp8Linear.from_linear(linear_map())
    before = copy.deepcopy(quantised.state_dict())
    quantised.float().half().bfloat16()
    assert quantised.bias.dtype == torch.bfloat16
    assert torch.equal(quantised.weight.float(), before["weight"].float())
    assert torch.equal(quantised.weight_scale, before["weight_scale"])
    assert quantised.weight.dtype == FP8


def test_layer_without_bias():
    source = nn.Linear(32, 16, bias=False)
    quantised = Fp8Linear.from_linear(source)
    assert set(quantised.state_dict()) == {"weight", "weight_scale"}
    assert cosine(quantised(features(width=32)), source(features(width=32))) > 0.999


def test_released_model_has_380_eligible_linears():
    with torch.device("meta"):
        built = NavaTransformer(release_config())
    total = sum(p.numel() for p in built.parameters())
    names = eligible_linears(built)
    assert len(names) == 380
    assert sum(module.weight.numel() for module in names.values()) / total > 0.89
    assert with_empty_fp8_(built) == 380
    assert eligible_linears(built) == {}
    shapes = built.state_dict()
    assert shapes["double_blocks.0.self_attn.q_audio.weight"].dtype == FP8
    assert shapes["single_blocks.19.ffn.0.weight_scale"].shape == (14336,)
    assert len(shapes) == 1052 + 380
    assert not any(name.startswith(("head", "time_", "text_", "patch_")) for name in names)


@torch.no_grad()
def test_quantised_model_predicts_nearly_the_same():
    wide = model()
    small = copy.deepcopy(wide)
    assert quantise_(small) == 28
    assert isinstance(small.single_blocks[0].ffn[2], Fp8Linear)
    for got, want in zip(small(*inputs()), wide(*inputs())):
        assert cosine(got, want) > 0.995
        assert not torch.equal(got, want)


@torch.no_grad()
def test_quantised_blocks_compile_as_one_graph_each():
    small = model()
    quantise_(small)
    want = small(*inputs())
    for kernel in ("dequantise", "scaled_mm"):
        for module in small.modules():
            if isinstance(module, Fp8Linear):
                module.kernel = kernel
        got = compile_model(copy.deepcopy(small), backend="eager")(*inputs())
        for first, second in zip(got, want):
            assert cosine(first, second) > (0.999999 if kernel == "dequantise" else 0.99)


@torch.no_grad()
def test_every_layer_of_a_model_keeps_its_direction():
    wide = model()
    small = copy.deepcopy(wide)
    quantise_(small)
    for name, module in eligible_linears(wide).items():
        x = features(width=module.in_features)
        assert cosine(small.get_submodule(name)(x), module(x)) > 0.999, name


def test_memory_of_the_quantised_layers_halves():
    wide = model().bfloat16()
    names = list(eligible_linears(wide))
    before = sum(tensor_bytes(wide.get_submodule(name)) for name in names)
    quantise_(wide)
    after = sum(tensor_bytes(wide.get_submodule(name)) for name in names)
    # One byte instead of two, and two bytes of scale per row; a row has 64 to 96 values here, 3,072 in the release.
    assert after / before < 0.55


@torch.no_grad()
def test_round_trip_through_a_state_dict():
    small = model()
    quantise_(small)
    stored = {name: value.clone() for name, value in small.state_dict().items()}
    # Some files keep the scale as a column.
    name = "single_blocks.0.ffn.0.weight_scale"
    stored[name] = stored[name][:, None]
    other = model(temporal_bias=0.0)
    with_empty_fp8_(other)
    other.load_state_dict(stored)
    for got, want in zip(other(*inputs()), small(*inputs())):
        assert torch.equal(got, want)


@torch.no_grad()
def test_stored_tensors_are_taken_as_they_are_by_a_meta_model():
    small = model()
    quantise_(small)
    with torch.device("meta"):
        other = NavaTransformer(small.config)
    with_empty_fp8_(other)
    other.load_state_dict(small.state_dict(), assign=True)
    assert torch.equal(other.eval()(*inputs())[1], small(*inputs())[1])


def test_wide_weights_are_not_taken_for_quantised_ones():
    other = model()
    with_empty_fp8_(other)
    with pytest.raises(RuntimeError, match=r"single_blocks\.0\.ffn\.0\.weight is torch\.float32, but this model"):
        other.load_state_dict(model().state_dict(), strict=False)


def test_missing_scale_is_an_error():
    small = model()
    quantise_(small)
    stored = small.state_dict()
    del stored["double_blocks.0.self_attn.k.weight_scale"]
    with pytest.raises(RuntimeError, match=r"double_blocks\.0\.self_attn\.k\.weight_scale"):
        small.load_state_dict(stored)
