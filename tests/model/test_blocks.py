import torch
from torch.nn.functional import layer_norm

from nava.config.model import ModelConfig
from nava.model.attention import TokenLayout
from nava.model.blocks import Head, HierarchicalAlignmentLayer, UnifiedFusionLayer, gated_sum, modulated_norm
from nava.model.rope import audio_rotations, video_rotations

CONFIG = ModelConfig(dim=24, ffn_dim=48, num_heads=2)
VIDEO, AUDIO = 8, 5


def layout(**settings):
    rotations = torch.cat([video_rotations(12, (2, 2, 2)), audio_rotations(12, AUDIO, 0.24)])
    return TokenLayout(num_video=VIDEO, num_audio=AUDIO, rotations=rotations, **settings)


def inputs():
    generator = torch.Generator().manual_seed(0)
    shapes = {"video": (2, VIDEO, 24), "audio": (2, AUDIO, 24), "e0": (2, 1, 6, 24), "context": (2, 4, 24)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def hal_sharing_the_weights_of(ufl):
    hal = HierarchicalAlignmentLayer(CONFIG)
    shared = ufl.state_dict()
    names = {name: name.replace("_audio", "") for name in hal.state_dict()}
    hal.load_state_dict({name: shared[own] for name, own in names.items()})
    return hal


def test_modulated_norm_by_the_formula():
    x, shift, scale = torch.randn(2, 3, 8), torch.randn(2, 1, 8), torch.randn(2, 1, 8)
    torch.testing.assert_close(
        modulated_norm(x, shift, scale, 1e-6), layer_norm(x, (8,), eps=1e-6) * (1 + scale) + shift
    )


def test_one_row_for_the_batch_is_the_row_of_every_sample():
    x, shift, scale = torch.randn(3, 5, 8), torch.randn(1, 1, 8), torch.randn(1, 1, 8)
    every = modulated_norm(x, shift.expand(3, 1, 8), scale.expand(3, 1, 8), 1e-6)
    torch.testing.assert_close(modulated_norm(x, shift, scale, 1e-6), every)


def test_clean_tokens_take_the_first_row():
    x, y, rows = torch.randn(2, 5, 8), torch.randn(2, 5, 8), torch.randn(3, 2, 2, 8)
    shift, scale, gate = rows
    per_token = [row[:, [0, 0, 1, 1, 1]] for row in rows]
    torch.testing.assert_close(
        modulated_norm(x, shift, scale, 1e-6, 2), modulated_norm(x, per_token[0], per_token[1], 1e-6)
    )
    torch.testing.assert_close(gated_sum(x, gate, y, 2), x + per_token[2] * y)


def test_all_tokens_may_be_clean():
    x, rows = torch.randn(1, 4, 8), torch.randn(1, 2, 8)
    torch.testing.assert_close(gated_sum(x, rows, x, 4), x + rows[:, :1] * x)


@torch.no_grad()
def test_hal_with_shared_weights_is_ufl():
    ufl = UnifiedFusionLayer(CONFIG)
    hal = hal_sharing_the_weights_of(ufl)
    x = inputs()
    for masked in (False, True):
        tokens = {"video": x["video"], "audio": x["audio"]}
        times = {"video": x["e0"], "audio": x["e0"]}
        parts = hal(tokens, times, x["context"], layout(mask_modality=masked))
        joint_BLD = torch.cat([x["video"], x["audio"]], dim=1)
        joint = ufl(joint_BLD, x["e0"], x["context"], layout(mask_modality=masked))
        torch.testing.assert_close(torch.cat([parts["video"], parts["audio"]], dim=1), joint, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_modulation_per_token_equals_modulation_per_sample():
    ufl, x = UnifiedFusionLayer(CONFIG), inputs()
    joint_BLD = torch.cat([x["video"], x["audio"]], dim=1)
    per_token = x["e0"].expand(-1, VIDEO + AUDIO, -1, -1)
    torch.testing.assert_close(
        ufl(joint_BLD, x["e0"], x["context"], layout()), ufl(joint_BLD, per_token, x["context"], layout())
    )


@torch.no_grad()
def test_gates_close_attention_and_feed_forward():
    ufl, x = UnifiedFusionLayer(CONFIG), inputs()
    for gate in (2, 5):
        ufl.modulation.modulation[:, gate] = 0
        x["e0"][:, :, gate] = 0
    torch.nn.init.zeros_(ufl.cross_attn.o.weight)
    torch.nn.init.zeros_(ufl.cross_attn.o.bias)
    joint_BLD = torch.cat([x["video"], x["audio"]], dim=1)
    torch.testing.assert_close(ufl(joint_BLD, x["e0"], x["context"], layout()), joint_BLD)


@torch.no_grad()
def test_alignment_layer_lets_sound_reach_the_picture_unless_masked():
    hal, x = HierarchicalAlignmentLayer(CONFIG), inputs()

    def video(audio, masked):
        tokens = {"video": x["video"], "audio": audio}
        times = {"video": x["e0"], "audio": x["e0"]}
        return hal(tokens, times, x["context"], layout(mask_modality=masked))["video"]

    other = x["audio"].flip(0)
    assert not torch.allclose(video(x["audio"], False), video(other, False))
    torch.testing.assert_close(video(x["audio"], True), video(other, True), rtol=0, atol=0)


def test_split_feed_forward_belongs_to_the_audio_stream():
    split = HierarchicalAlignmentLayer(ModelConfig(dim=24, ffn_dim=48, num_heads=2, split_norm_ffn=True))
    shared = set(dict(HierarchicalAlignmentLayer(CONFIG).named_parameters()))
    extra = set(dict(split.named_parameters())) - shared
    assert extra == {"norm3_audio.weight", "norm3_audio.bias"} | {
        f"ffn_audio.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")
    }
    x = inputs()
    tokens = {"video": x["video"], "audio": x["audio"]}
    out = split(tokens, {"video": x["e0"], "audio": x["e0"]}, x["context"], layout(mask_modality=True))
    out["video"].sum().backward()
    assert split.ffn[0].weight.grad is not None
    assert split.ffn_audio[0].weight.grad is None


@torch.no_grad()
def test_head_shifts_by_its_first_row_and_scales_by_its_second():
    head = Head(8, 3, 1e-6)
    x, e = torch.randn(2, 5, 8), torch.randn(2, 1, 8)
    shift, scale = head.modulation[0, 0] + e, head.modulation[0, 1] + e
    torch.testing.assert_close(head(x, e), head.head(layer_norm(x, (8,), eps=1e-6) * (1 + scale) + shift))
