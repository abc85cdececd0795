import pytest
import torch

from nava.config.model import ModelConfig
from nava.model.architecture import build_model

SETTINGS = {"architecture": "dual_tower", "dim": 24, "ffn_dim": 48, "num_heads": 2, "num_tower_layers": 2}
SETTINGS |= {"text_len": 6, "text_dim": 7, "freq_dim": 16, "video_channels": 3, "audio_channels": 5}
SETTINGS |= {"audio_stem_hidden": 16, "zero_init_heads": False, "temporal_bias": 0.0}
SHARED = ("text_embedding", "time_embedding", "time_projection")


@pytest.fixture
def model():
    built = build_model(ModelConfig(**SETTINGS), seed=3)
    with torch.no_grad():
        built.head.head.weight.normal_(std=0.2, generator=torch.Generator().manual_seed(9))
    return built.eval()


def inputs(batch=2):
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(batch, 3, 3, 4, 4, generator=generator)
    audio = torch.randn(batch, 9, 5, generator=generator)
    return video, audio, torch.tensor([300.0, 900.0])[:batch], torch.randn(batch, 6, 7, generator=generator)


def is_audio(name):
    return any(part.endswith("_audio") for part in name.split("."))


def test_blocks_share_no_weight_between_the_towers(model):
    names = {name for name, _ in model.tower_blocks[0].named_parameters()}
    video = {name for name in names if not is_audio(name)}
    assert len(names) == 2 * len(video)
    for name in video:
        first, *rest = name.split(".")
        twins = {".".join([first + "_audio", *rest]), ".".join([first, rest[0] + "_audio", *rest[1:]])}
        assert len(twins & names) == 1, name


def test_each_stream_alone_trains_its_own_tower_only(model):
    video, audio, time, text = inputs()
    for given, own in (((None, audio), True), ((video, None), False)):
        model.zero_grad(set_to_none=True)
        sum(out.square().mean() for out in model(*given, time, text) if out is not None).backward()
        touched = {name for name, p in model.named_parameters() if p.grad is not None}
        assert {is_audio(name) for name in touched if not name.startswith(SHARED)} == {own}
        assert not any("cross_modal" in name for name in touched)


def test_masked_training_leaves_the_cross_modal_attention_out(model):
    outputs = model(*inputs(), mask_modality=True)
    sum(out.square().mean() for out in outputs).backward()
    untouched = {name for name, p in model.named_parameters() if p.grad is None}
    assert untouched == {name for name, _ in model.named_parameters() if "cross_modal" in name}


@torch.no_grad()
def test_without_cross_modal_outputs_a_joint_pass_is_a_masked_one(model):
    differs = [
        not torch.allclose(*pair, atol=1e-3) for pair in zip(model(*inputs()), model(*inputs(), mask_modality=True))
    ]
    assert differs == [True, True]
    for block in model.tower_blocks:
        for module in (block.cross_modal_attn.o, block.cross_modal_attn.o_audio):
            module.weight.zero_()
            module.bias.zero_()
    for joint, masked in zip(model(*inputs()), model(*inputs(), mask_modality=True)):
        torch.testing.assert_close(joint, masked, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_each_direction_has_weights_of_its_own(model):
    """Audio hears of video through its own modules, and the other way round; one can be cut without the other."""
    block = model.tower_blocks[-1]
    base = model(*inputs())
    block.cross_modal_attn.o_audio.weight.zero_()
    block.cross_modal_attn.o_audio.bias.zero_()
    video, audio = model(*inputs())
    assert torch.equal(video, base[0])
    assert not torch.allclose(audio, base[1], atol=1e-3)


@torch.no_grad()
def test_alignment_comes_after_the_context(model):
    """What a block's cross-modal attention sees of the other tower has the context in it: posterior alignment."""
    seen = []
    model.tower_blocks[0].norm_cross_modal_audio.register_forward_pre_hook(
        lambda _, given: seen.append(given[0].clone())
    )
    video, audio, time, text = inputs()
    model(video, audio, time, text)
    model(video, audio, time, text + 1)
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)
    # ... and nothing of the video yet.
    model(video + 1, audio, time, text)
    assert torch.equal(seen[0], seen[2])


@torch.no_grad()
def test_cross_modal_positions_lie_on_one_time_axis(monkeypatch):
    """Scaled rotary positions: with equal content everywhere, audio looks at the video frame of its own time."""
    built = build_model(ModelConfig(**(SETTINGS | {"dim": 96, "num_heads": 1, "audio_rope_scale": 0.5})), seed=3)
    attention = built.tower_blocks[0].cross_modal_attn
    for name in ("q_audio", "k_audio"):
        module = getattr(attention, name)
        module.weight.zero_()
        # Real parts only, on the temporal pairs alone: the logits are sums of cosines of the difference in time.
        module.bias.zero_()
        module.bias[: 2 * 16 : 2] = 1.0
    scores = []

    def record(query, key, value, mask=None):
        scores.append(torch.einsum("blhd,bmhd->blm", query, key))
        return torch.zeros_like(query)

    monkeypatch.setattr("nava.model.dual_tower.attention", record)
    video = torch.randn(1, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    built(video, torch.zeros(1, 7, 5), torch.tensor([500.0]), torch.zeros(1, 6, 7))
    audio_to_video = scores[1][0]
    assert audio_to_video.shape == (7, 4)
    # Audio latent 2 i is at video latent i, and nearest to it.
    assert audio_to_video[::2].argmax(dim=1).tolist() == [0, 1, 2, 3]


@torch.no_grad()
def test_temporal_bias_reaches_the_cross_modal_attention():
    built = build_model(ModelConfig(**(SETTINGS | {"temporal_bias": 7.0})))
    for name in ("q", "k", "q_audio", "k_audio"):
        for attention in (built.tower_blocks[0].self_attn, built.tower_blocks[1].cross_modal_attn):
            assert getattr(attention, name).bias.max() == 7.0
    assert built.tower_blocks[0].cross_attn.q.bias.max() == 0.0


@torch.no_grad()
def test_a_valid_length_hides_padding_from_the_other_tower(model):
    video, audio, time, text = inputs()
    length = torch.tensor([5, 9])
    noisy = audio.clone()
    noisy[0, 5:] = 100.0
    first = model(video, audio, time, text, audio_length_B=length, mask_modality=[False, True])
    second = model(video, noisy, time, text, audio_length_B=length, mask_modality=[False, True])
    torch.testing.assert_close(first[0], second[0], rtol=1e-5, atol=1e-6)
