import math

import pytest
import torch

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer


def model(seed=0, **settings):
    return NavaTransformer(ModelConfig(**settings), seed=seed)


def test_same_seed_same_weights_whatever_the_global_state():
    torch.manual_seed(1)
    first = model(3).state_dict()
    torch.manual_seed(2)
    second, other = model(3).state_dict(), model(4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["time_projection.1.weight"], other["time_projection.1.weight"])


def test_distributions():
    weights = model(dim=192, num_heads=8, ffn_dim=384, audio_stem_hidden=192).state_dict()
    bound = math.sqrt(6 / (192 + 384))
    ffn = weights["single_blocks.0.ffn.0.weight"]
    assert ffn.abs().max() <= bound
    assert ffn.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    for name in ("text_embedding.0.weight", "time_embedding.2.weight"):
        assert weights[name].std() == pytest.approx(0.02, rel=0.05)
    assert weights["double_blocks.0.modulation_audio.modulation"].std() == pytest.approx(192**-0.5, rel=0.1)
    assert weights["head.modulation"].std() == pytest.approx(192**-0.5, rel=0.1)
    patch = weights["patch_embedding.weight"]
    assert patch.std() == pytest.approx(math.sqrt(2 / (192 + 48 * 4)), rel=0.05)
    assert weights["patch_embedding_audio.2.w1.weight"].abs().max() <= 1 / math.sqrt(192 * 7)
    for name, value in weights.items():
        if name.endswith(".bias") and "self_attn" not in name and "audio.0" not in name:
            assert not value.any(), name


def test_zero_heads_is_an_option():
    for zero in (True, False):
        weights = model(zero_init_heads=zero).state_dict()
        assert not weights["head.head.weight"].any()
        assert bool(weights["head_audio.head.weight"].any()) is not zero


def test_untrained_demo_model_predicts_nothing():
    generator = torch.Generator().manual_seed(0)
    video, audio = torch.randn(1, 48, 3, 4, 4, generator=generator), torch.randn(1, 9, 64, generator=generator)
    outputs = model()(video, audio, torch.tensor([500.0]), torch.randn(1, 5, 64, generator=generator))
    assert all(not out.any() for out in outputs)


def test_temporal_bias_marks_two_real_parts_in_half_of_the_heads():
    weights = model(temporal_bias=5.0).state_dict()
    expected = torch.zeros(96)
    expected[[0, 2, 24, 26]] = 5.0  # heads 0 and 1 of 4, pairs 0 and 1 of each, real part
    biases = [name for name in weights if name.split(".")[-2] in ("q", "k", "q_audio", "k_audio") and "bias" in name]
    assert len(biases) == 2 * (4 + 2) * 2
    for name in biases:
        target = expected if "self_attn" in name else torch.zeros(96)
        torch.testing.assert_close(weights[name], target, msg=name)


def test_temporal_bias_changes_nothing_else():
    plain, biased = model(temporal_bias=0.0).state_dict(), model(temporal_bias=5.0).state_dict()
    changed = {name for name in plain if not torch.equal(plain[name], biased[name])}
    assert changed
    assert all("self_attn" in name and name.endswith("bias") for name in changed)


@torch.no_grad()
def test_temporal_bias_makes_sound_look_at_its_own_time():
    built = model(temporal_bias=5.0)
    layer = built.double_blocks[0].self_attn
    generator = torch.Generator().manual_seed(0)
    from nava.model.rope import audio_rotations, video_rotations

    q, _, _ = layer.project(
        torch.randn(1, 52, 96, generator=generator), rotation_LP=audio_rotations(24, 52, 0.24), stream="audio"
    )
    _, k, _ = layer.project(
        torch.randn(1, 13, 96, generator=generator), rotation_LP=video_rotations(24, (13, 1, 1)), stream="video"
    )
    weights_HLM = torch.einsum("blhd,bmhd->bhlm", q, k)[0].div(24**0.5).softmax(-1)
    distance_LM = (torch.arange(52)[:, None] * 0.24 - torch.arange(13)).abs()
    mean_distance_H = (weights_HLM * distance_LM).sum(-1).mean(-1)
    assert mean_distance_H[:2].max() < 0.8 * mean_distance_H[2:].min()
