import pytest
import torch

from nava.config.model import ModelConfig
from nava.model.architecture import build_model

SETTINGS = {"architecture": "trimodal", "dim": 24, "ffn_dim": 48, "num_heads": 2, "num_trimodal_layers": 2}
SETTINGS |= {"text_len": 6, "text_dim": 7, "freq_dim": 16, "video_channels": 3, "audio_channels": 5}
SETTINGS |= {"audio_stem_hidden": 16, "zero_init_heads": False, "temporal_bias": 0.0}


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


def recorded(model, *arguments, **settings):
    """The joint sequence that enters each block, call by call."""
    seen = []
    hooks = [
        block.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
        for block in model.trimodal_blocks
    ]
    model(*arguments, **settings)
    for hook in hooks:
        hook.remove()
    return seen


def test_a_block_has_one_weight_set_and_no_cross_attention(model):
    names = {name for name, _ in model.trimodal_blocks[0].named_parameters()}
    assert not any("cross" in name or "audio" in name or "norm3" in name for name in names)
    assert len(names) == 4 * 2 + 2 + 2 * 2 + 1


@torch.no_grad()
def test_one_sequence_holds_video_audio_and_text(model):
    video_tokens, audio_tokens, text_tokens = 3 * 2 * 2, 9, 6
    seen = recorded(model, *inputs())
    assert [x.shape[1] for x in seen] == [video_tokens + audio_tokens + text_tokens] * 2
    # Text is a stream of its own that the other tokens change, unlike the context of the other architectures.
    first, second = (x[:, -text_tokens:] for x in seen)
    torch.testing.assert_close(first, model.text_embedding(inputs()[3]))
    assert not torch.allclose(first, second, atol=1e-3)
    video, audio, time, text = inputs()
    moved = recorded(model, video + 1, audio, time, text)[1][:, -text_tokens:]
    assert not torch.allclose(second, moved, atol=1e-3)


@torch.no_grad()
def test_masked_modalities_have_a_copy_of_the_text_each(model):
    seen = recorded(model, *inputs(), mask_modality=True)
    assert [x.shape[1] for x in seen] == [12 + 6] * 2 + [9 + 6] * 2
    # One copy would carry the video's news to the audio: the copies part after the first block.
    assert torch.equal(seen[0][:, -6:], seen[2][:, -6:])
    assert not torch.allclose(seen[1][:, -6:], seen[3][:, -6:], atol=1e-3)


@torch.no_grad()
def test_order_of_text_rows_is_left_to_their_features(model):
    video, audio, time, text = inputs()
    for out, same in zip(model(video, audio, time, text), model(video, audio, time, text.flip(1))):
        torch.testing.assert_close(out, same, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_text_is_never_masked_by_valid_lengths(model):
    video, audio, time, text = inputs()
    lengths = {"video_size_B3": torch.tensor([[2, 4, 4], [3, 4, 4]]), "audio_length_B": torch.tensor([5, 9])}
    base = model(video, audio, time, text, **lengths)
    for row in range(6):
        changed = text.clone()
        changed[:, row] += 2.0
        for out, before in zip(model(video, audio, time, changed, **lengths), base):
            assert not torch.allclose(out, before, atol=1e-4), row


@torch.no_grad()
def test_text_has_the_time_of_the_noisy_tokens(model):
    """With a clean first frame, only that frame's tokens have time 0: in a pass of audio alone nothing does."""
    video, audio, time, text = inputs()
    apart = model(video, audio, time, text, mask_modality=True, first_frame_clean=True)
    alone = model(None, audio, time, text, first_frame_clean=True)
    torch.testing.assert_close(apart[1], alone[1], rtol=1e-5, atol=1e-6)
    clean = model(video, audio, time, text, first_frame_clean=True)
    assert not torch.allclose(clean[0], model(video, audio, time, text)[0], atol=1e-3)


def test_audio_alone_trains_all_blocks(model):
    model(None, *inputs()[1:])[1].square().mean().backward()
    untouched = {name for name, p in model.named_parameters() if p.grad is None}
    assert untouched == {"patch_embedding.weight", "patch_embedding.bias", "head.modulation", "head.head.weight"} | {
        "head.head.bias"
    }


@torch.no_grad()
def test_preparing_costs_no_keys_and_values(model):
    context = model.prepare(inputs()[3])
    assert context.blocks == ()
    assert context.rows.shape == (2, 6, 24)


def test_a_forward_embeds_the_text_once_and_a_prepared_one_never(model):
    video, audio, time, text = inputs()
    embedded = []
    hook = model.text_embedding.register_forward_hook(lambda *_: embedded.append(1))
    model(video, audio, time, text)
    assert len(embedded) == 1
    context = model.prepare(text)
    embedded.clear()
    model(video, audio, time, context)
    assert not embedded
    hook.remove()


def test_a_prepared_context_has_its_speakers_in_it(model):
    video, audio, time, text = inputs()
    speakers = {"speaker_SE": torch.zeros(1, 4), "speaker_slot_S": torch.tensor([0])}
    with pytest.raises(ValueError, match="a prepared context has its speakers in it"):
        model(video, audio, time, model.prepare(text), **speakers)
