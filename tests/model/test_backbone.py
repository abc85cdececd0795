import copy
import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode

from nava.config.model import ModelConfig, release_config
from nava.model.attention import TokenLayout
from nava.model.backbone import NavaTransformer
from nava.model.embedding import unpatchify
from nava.model.rope import joint_rotations

KEYS = Path(__file__).parents[3] / "shared" / "reference" / "nava_state_dict_keys.json"
SETTINGS = {
    "dim": 24,
    "ffn_dim": 48,
    "num_heads": 2,
    "num_hal_layers": 1,
    "num_ufl_layers": 1,
    "num_final_hal_layers": 1,
}
SETTINGS |= {"video_channels": 3, "audio_channels": 5, "text_len": 6, "text_dim": 7, "audio_stem_hidden": 16}
SETTINGS |= {"speaker_dim": 10, "freq_dim": 16, "temporal_bias": 1.0}


@pytest.fixture(scope="module")
def model():
    """A small model whose zero-initialised heads are drawn too, so that its outputs say something."""
    built = NavaTransformer(ModelConfig(**SETTINGS))
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for head in (built.head.head, built.head_audio.head):
            head.weight.normal_(std=0.2, generator=generator)
    return built.eval()


def inputs(batch=2, frames=3, height=4, width=4, length=9, rows=6):
    generator = torch.Generator().manual_seed(0)
    return {
        "video_BCTHW": torch.randn(batch, 3, frames, height, width, generator=generator),
        "audio_BLC": torch.randn(batch, length, 5, generator=generator),
        "timestep_B": torch.rand(batch, generator=generator) * 1000,
        "text_BND": torch.randn(batch, rows, 7, generator=generator),
    }


def close(first, second):
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def count(config):
    with torch.device("meta"):
        built = NavaTransformer(config)
    return sum(p.numel() for p in built.parameters()), built


def test_released_size():
    total, built = count(release_config())
    assert total == 6_296_995_520
    assert len(built.state_dict()) == 1052


@pytest.mark.skipif(not KEYS.exists(), reason="the released state dict's key list is not here")
def test_released_names_and_shapes():
    expected = {name.removeprefix("backbone."): shape for name, shape in json.loads(KEYS.read_text()).items()}
    _, built = count(release_config())
    assert {name: list(value.shape) for name, value in built.state_dict().items()} == expected


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"split_norm_ffn": True}, 7_178_034_880),
        ({"num_hal_layers": 30, "num_ufl_layers": 0}, 7_808_050_880),
        ({"num_hal_layers": 0, "num_ufl_layers": 30}, 5_541_467_840),
        ({"num_hal_layers": 5, "num_ufl_layers": 20, "num_final_hal_layers": 5}, 6_296_995_520),
    ],
)
def test_sizes_of_the_ablations(changes, parameters):
    config = release_config()
    for name, value in changes.items():
        setattr(config, name, value)
    assert count(config)[0] == parameters


def test_demo_size():
    assert count(ModelConfig())[0] == 1_062_016


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="not divisible"):
        NavaTransformer(ModelConfig(dim=96, num_heads=5))


@torch.no_grad()
def test_shapes_of_every_combination(model):
    x = inputs()
    video, audio = model(**x)
    assert video.shape == x["video_BCTHW"].shape
    assert audio.shape == x["audio_BLC"].shape
    assert model(**(x | {"audio_BLC": None}))[1] is None
    assert model(**(x | {"video_BCTHW": None}))[0] is None
    with pytest.raises(ValueError, match="give video latents, audio latents, or both"):
        model(**(x | {"video_BCTHW": None, "audio_BLC": None}))


@torch.no_grad()
def test_masking_is_the_single_modality_pass_of_each_stream(model):
    x = inputs()
    video, audio = model(**x, mask_modality=True)
    close(video, model(**(x | {"audio_BLC": None}))[0])
    close(audio, model(**(x | {"video_BCTHW": None}))[1])
    joint_video, joint_audio = model(**x)
    assert not torch.allclose(joint_video, video, atol=1e-3)
    assert not torch.allclose(joint_audio, audio, atol=1e-3)


@torch.no_grad()
def test_masking_per_sample(model):
    x = inputs()
    mixed = model(**x, mask_modality=torch.tensor([False, True]))
    for out, joint, masked in zip(mixed, model(**x), model(**x, mask_modality=True)):
        close(out[0], joint[0])
        close(out[1], masked[1])
    with pytest.raises(ValueError, match="1 modality mask flags for a batch of 2"):
        model(**x, mask_modality=[True])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("first_frame", [False, True])
@torch.no_grad()
def test_padded_batch_equals_each_sample_alone(model, masked, first_frame):
    settings = {"mask_modality": masked, "first_frame_clean": first_frame}
    sizes = [{"frames": 3, "height": 4, "width": 6, "length": 9}, {"frames": 2, "height": 6, "width": 4, "length": 14}]
    alone = [inputs(batch=1, **size) for size in sizes]
    largest = (3, 6, 6)
    video = [pad(x["video_BCTHW"], _padding(x["video_BCTHW"].shape[-3:], largest), value=7.0) for x in alone]
    audio = [pad(x["audio_BLC"], (0, 0, 0, 14 - x["audio_BLC"].shape[1]), value=7.0) for x in alone]
    together = model(
        torch.cat(video),
        torch.cat(audio),
        torch.cat([x["timestep_B"] for x in alone]),
        torch.cat([x["text_BND"] for x in alone]),
        video_size_B3=torch.tensor([list(size.values())[:3] for size in sizes]),
        audio_length_B=torch.tensor([size["length"] for size in sizes]),
        **settings,
    )
    for i, (x, size) in enumerate(zip(alone, sizes)):
        video_out, audio_out = model(**x, **settings)
        close(together[0][i, :, : size["frames"], : size["height"], : size["width"]], video_out[0])
        close(together[1][i, : size["length"]], audio_out[0])


def _padding(shape, largest):
    return [amount for have, want in zip(reversed(shape), reversed(largest)) for amount in (0, want - have)]


@torch.no_grad()
def test_odd_sizes_are_padded_with_zeros_and_cropped(model):
    x = inputs(height=5, width=3)
    video, audio = model(**x)
    padded = model(**(x | {"video_BCTHW": pad(x["video_BCTHW"], (0, 1, 0, 1))}))
    close(video, padded[0][..., :5, :3])
    close(audio, padded[1])


@torch.no_grad()
def test_missing_text_rows_are_zero_rows_and_are_attended(model):
    x = inputs(rows=4)
    zeros = model(**(x | {"text_BND": pad(x["text_BND"], (0, 0, 0, 2))}))
    close(model(**x)[0], zeros[0])
    with_bias = model.text_embedding[0].bias
    with_bias.data += 1.0
    moved = model(**x)[0]
    with_bias.data -= 1.0
    assert not torch.allclose(moved, zeros[0], atol=1e-4)
    for bad in (torch.zeros(2, 7, 7), torch.zeros(2, 6, 8)):
        with pytest.raises(ValueError, match="takes up to 6 rows of 7"):
            model(**(x | {"text_BND": bad}))


@torch.no_grad()
def test_clean_first_frame_has_time_zero(model):
    x = inputs()
    # With every time 0, the clean frame is nothing special.
    still = x | {"timestep_B": torch.zeros(2)}
    close(model(**still, first_frame_clean=True)[0], model(**still)[0])
    # Masked apart, only the video notices the condition.
    plain, conditioned = model(**x, mask_modality=True), model(**x, mask_modality=True, first_frame_clean=True)
    assert not torch.allclose(plain[0], conditioned[0], atol=1e-3)
    close(plain[1], conditioned[1])


@torch.no_grad()
def test_clean_first_frame_by_the_formula(model):
    """Time embeddings per token, as the release lays them out, give the same as two rows per sample."""
    x = inputs(frames=3)
    expected = model(**x, first_frame_clean=True)
    zero, noisy = model._time(torch.zeros(2), False), model._time(x["timestep_B"], False)
    first = (torch.arange(3 * 4) < 4)[None, :, None]

    class PerToken:
        head = torch.where(first, zero.head, noisy.head)
        blocks = torch.where(first[..., None], zero.blocks, noisy.blocks)
        joint = torch.cat([blocks, noisy.blocks.expand(-1, 9, -1, -1)], dim=1)

    layout = TokenLayout(12, 9, joint_rotations(12, (3, 2, 2), 9, 0.24))
    tokens = {"video": model._video_tokens(x["video_BCTHW"])[0], "audio": model.patch_embedding_audio(x["audio_BLC"])}
    rows = model._context_rows(x["text_BND"], None, None)
    per_token = {"video": PerToken.blocks, "audio": noisy.blocks}
    tokens = model.double_blocks[0](tokens, per_token, rows, layout)
    joint = model.single_blocks[0](torch.cat(list(tokens.values()), 1), PerToken.joint, rows, layout)
    tokens = dict(zip(tokens, joint.split((12, 9), 1)))
    tokens = model.double_final_blocks[0](tokens, per_token, rows, layout)
    close(unpatchify(model.head(tokens["video"], PerToken.head), (3, 2, 2), (1, 2, 2)), expected[0])
    close(model.head_audio(tokens["audio"], noisy.head), expected[1])


@pytest.mark.parametrize("condition", [{}, {"mask_modality": True}, {"first_frame_clean": True}])
@torch.no_grad()
def test_prepared_context_changes_nothing(model, condition):
    x = inputs()
    voices = {"speaker_SE": torch.randn(2, 10), "speaker_slot_S": torch.tensor([2, 7])}
    prepared = model.prepare(x["text_BND"], **voices)
    for out, expected in zip(model(**(x | {"text_BND": prepared}), **condition), model(**x, **voices, **condition)):
        close(out, expected)
    with pytest.raises(ValueError, match="a prepared context has its speakers in it"):
        model(**(x | {"text_BND": prepared}), **voices)


@torch.no_grad()
def test_context_of_one_sample_serves_a_batch(model):
    x = inputs(batch=3)
    one = x["text_BND"][:1]
    together = model(**(x | {"text_BND": model.prepare(one)}))
    for out, expected in zip(together, model(**(x | {"text_BND": one.expand(3, -1, -1)}))):
        close(out, expected)


@torch.no_grad()
def test_nothing_of_the_text_is_computed_again_with_a_prepared_context(model):
    x, calls = inputs(), []
    prepared = model.prepare(x["text_BND"])
    names = ("text_embedding", "cross_attn.k", "cross_attn.v", "cross_attn.norm_k")
    modules = [m for name, m in model.named_modules() if name.removesuffix("_audio").endswith(names)]
    hooks = [module.register_forward_hook(lambda module, *_: calls.append(module)) for module in modules]
    model(**(x | {"text_BND": prepared}))
    assert calls == []
    model(**x)
    # Text embedding; k, v, norm_k of two alignment layers for each stream and of one fusion layer.
    assert len(calls) == len(modules) == 1 + 2 * 6 + 3
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(
    ("time", "clean", "rows"),
    [([500.0, 500.0], False, 2), ([500.0], False, 1), ([500.0], True, 2), ([500.0, 300.0], True, 3)],
)
@torch.no_grad()
def test_each_distinct_time_is_embedded_once(model, time, clean, rows):
    seen = []
    hook = model.time_projection.register_forward_hook(lambda _, arguments, out: seen.append(out))
    x = inputs() | {"timestep_B": torch.tensor(time).expand(2)}
    outs = model(**x, first_frame_clean=clean)
    hook.remove()
    assert [len(out) for out in seen] == [rows]
    # The same times, given one by one.
    for out, expected in zip(
        outs, model(**(x | {"timestep_B": x["timestep_B"].contiguous()}), first_frame_clean=clean)
    ):
        close(out, expected)


@torch.no_grad()
def test_full_batches_need_no_mask(model, monkeypatch):
    masks = []
    monkeypatch.setattr("nava.model.attention._keys", lambda valid: masks.append(valid))
    x, sizes = inputs(), {"video_size_B3": torch.tensor([[3, 4, 4]] * 2), "audio_length_B": torch.tensor([9, 9])}
    model(**x)
    model(**x, **sizes)
    model(**(inputs(height=3) | {"timestep_B": x["timestep_B"]}), video_size_B3=torch.tensor([[3, 3, 4]] * 2))
    assert masks
    assert all(mask is None for mask in masks)
    model(**x, **(sizes | {"audio_length_B": torch.tensor([9, 8])}))
    assert masks[-1].sum(dim=1).tolist() == [12 + 9, 12 + 8]


class NoWaiting(TorchDispatchMode):
    """Refuses what would make the host wait for an accelerator, and double precision on complex numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), func
        out = func(*args, **(kwargs or {}))
        assert not (isinstance(out, torch.Tensor) and out.dtype == torch.complex128)
        return out


@pytest.mark.parametrize("condition", [{}, {"mask_modality": [False, True]}, {"first_frame_clean": True}])
@torch.no_grad()
def test_forward_never_waits_for_a_value(model, condition):
    x = inputs(frames=5)
    with NoWaiting():
        prepared = model.prepare(x["text_BND"], torch.ones(1, 10), torch.tensor([2]))
        model(**(x | {"text_BND": prepared}), **condition)
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoWaiting():
        x["timestep_B"].max().item()


def test_position_tables_made_for_inference_serve_training(model):
    x = inputs(frames=4, length=11)
    with torch.inference_mode():
        model(**x)
    model(**x)[0].sum().backward()


@torch.no_grad()
def test_speakers_replace_context_rows(model):
    x = inputs()
    speakers = torch.randn(3, 10)
    slots = torch.tensor([2, 6 + 1])
    inserted = model(**x, speaker_SE=speakers, speaker_slot_S=slots)
    # More vectors than slots: the first are used. No slots: the vectors are ignored.
    close(inserted[1], model(**x, speaker_SE=speakers[:2], speaker_slot_S=slots)[1])
    close(model(**x)[1], model(**x, speaker_SE=speakers)[1])
    # What stood in the replaced rows does not matter any more.
    changed = x["text_BND"].clone()
    changed[0, 2], changed[1, 1] = 5.0, -5.0
    close(inserted[0], model(**(x | {"text_BND": changed}), speaker_SE=speakers, speaker_slot_S=slots)[0])
    assert not torch.allclose(inserted[1], model(**x)[1], atol=1e-3)
    with pytest.raises(ValueError, match="2 speaker slots but only 1"):
        model(**x, speaker_SE=speakers[:1], speaker_slot_S=slots)


def test_model_without_timbre_refuses_speakers():
    model = NavaTransformer(ModelConfig(**(SETTINGS | {"speaker_dim": 0})))
    assert not any("speaker" in name for name in model.state_dict())
    with pytest.raises(ValueError, match="without timbre conditioning"):
        model(**inputs(), speaker_SE=torch.zeros(1, 10), speaker_slot_S=torch.tensor([0]))


def test_every_parameter_learns_from_a_joint_batch(model):
    x = inputs()
    model.zero_grad()
    slots = torch.tensor([0, 7])
    video, audio = model(**x, speaker_SE=torch.stack([torch.ones(10), torch.zeros(10)]), speaker_slot_S=slots)
    (video.square().mean() + audio.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_audio_batch_leaves_the_video_weights_alone(model):
    x = inputs()
    model.zero_grad(set_to_none=True)
    model(**(x | {"video_BCTHW": None}))[1].square().mean().backward()
    untouched = {name for name, p in model.named_parameters() if p.grad is None}
    assert {"patch_embedding.weight", "head.head.weight", "double_blocks.0.self_attn.q.weight"} <= untouched
    assert not any("audio" in name or name.startswith("single_blocks") for name in untouched)


@pytest.mark.parametrize("condition", [{}, {"mask_modality": True}, {"first_frame_clean": True}])
@torch.no_grad()
def test_bf16_is_close(model, condition):
    x = inputs()
    exact = model(**x, **condition)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = model(**x, **condition)
    lean = copy.deepcopy(model).bfloat16()
    whole = lean(**(x | {"text_BND": lean.prepare(x["text_BND"])}), **condition)
    for lows in (autocast, whole):
        for low, full in zip(lows, exact):
            assert (low.float() - full).norm() < 0.05 * full.norm()
    assert all(out.dtype == torch.bfloat16 for out in whole)
