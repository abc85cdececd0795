import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad

from nava.config.model import ModelConfig, release_config
from nava.model.backbone import NavaTransformer

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


def test_bf16_autocast_is_close(model):
    x = inputs()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        video, audio = model(**x)
    exact = model(**x)
    for low, full in zip((video, audio), exact):
        assert (low.float() - full).norm() < 0.05 * full.norm()
