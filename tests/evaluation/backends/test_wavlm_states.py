"""WavLM's states: those of transformers where they are right, and what the published code gives where they are not."""

import pytest
import torch
from transformers import WavLMModel

from nava.evaluation.backends import wavlm
from nava.evaluation.backends.audiobox import AudioboxAesthetics
from nava.evaluation.backends.wavlm_ecapa import WavlmEcapa
from tests.evaluation.backends.sound_checkpoints import norms_first, small_wavlm


def model(config):
    torch.manual_seed(1)
    return WavLMModel(config).eval().requires_grad_(False)


def sound(samples=4_000, seed=2):
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("config", [small_wavlm(), norms_first()])
def test_states_are_those_of_the_model(config):
    network, samples_1N = model(config), sound()
    states_LTD = wavlm.hidden_states(network, samples_1N)
    found = network(samples_1N, output_hidden_states=True)
    assert states_LTD.shape == (3, 12, 32)
    torch.testing.assert_close(states_LTD[:2], torch.cat(found.hidden_states[:2]))
    torch.testing.assert_close(states_LTD[-1], found.last_hidden_state[0])


def test_the_last_state_of_a_network_with_norms_first_has_passed_the_encoders_norm():
    """s3prl hooks the encoder's output; transformers' list of states may end before the norm."""
    network = model(norms_first())
    network.encoder.layer_norm.bias.fill_(7.0)
    assert wavlm.hidden_states(network, sound())[-1].mean() > 6
    assert wavlm.hidden_states(network, sound())[-2].mean() < 6


@pytest.mark.parametrize("config", [small_wavlm(), norms_first()])
def test_padding_is_heard_by_nobody(config):
    """Against attention under a mask, as published: frames behind the sound begin as zero and are never attended."""
    network, heard = model(config), 7
    samples_1N = torch.cat([sound(heard * 320), torch.zeros(1, 1_600)], dim=1)
    states_LTD = wavlm.hidden_states(network, samples_1N, heard)
    hidden_1TD, _ = network.feature_projection(network.feature_extractor(samples_1N).transpose(1, 2))
    mask_1T = torch.arange(hidden_1TD.shape[1])[None] < heard
    masked = network.encoder(hidden_1TD, attention_mask=mask_1T).last_hidden_state
    assert states_LTD.shape[1] == heard < hidden_1TD.shape[1]
    torch.testing.assert_close(states_LTD[-1], masked[0, :heard])


def layout(network_class):
    with torch.device("meta"):
        network = network_class.build()
    return {network.published_name(name): tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_the_speaker_network_has_the_published_tensors():
    """710 of the 711 tensors of `wavlm_large_finetune.pth`; the other one is the classifier of its training."""
    names = layout(WavlmEcapa)
    assert len(names) == 710
    assert sum(name.startswith("feature_extract.model.") for name in names) == 488
    shapes = {
        "feature_weight": (25,),
        "feature_extract.model.mask_emb": (1024,),
        "feature_extract.model.feature_extractor.conv_layers.0.0.weight": (512, 1, 10),
        "feature_extract.model.feature_extractor.conv_layers.6.2.1.bias": (512,),
        "feature_extract.model.post_extract_proj.weight": (1024, 512),
        "feature_extract.model.encoder.pos_conv.0.weight_g": (1, 1, 128),
        "feature_extract.model.encoder.pos_conv.0.weight_v": (1024, 64, 128),
        "feature_extract.model.encoder.layers.0.self_attn.relative_attention_bias.weight": (320, 16),
        "feature_extract.model.encoder.layers.23.self_attn.grep_a": (1, 16, 1, 1),
        "feature_extract.model.encoder.layers.23.self_attn.grep_linear.weight": (8, 64),
        "feature_extract.model.encoder.layers.23.self_attn_layer_norm.weight": (1024,),
        "feature_extract.model.encoder.layers.23.fc1.weight": (4096, 1024),
        "feature_extract.model.encoder.layers.23.final_layer_norm.bias": (1024,),
        "feature_extract.model.encoder.layer_norm.weight": (1024,),
        "feature_extract.model.layer_norm.weight": (512,),
        "layer1.conv.weight": (512, 1024, 5),
        "layer3.Conv1dReluBn1.bn.running_var": (512,),
        "layer4.Res2Conv1dReluBn.convs.6.weight": (64, 64, 3),
        "layer2.SE_Connect.linear1.weight": (128, 512),
        "conv.weight": (1536, 1536, 1),
        "pooling.linear1.weight": (128, 1536, 1),
        "bn.weight": (3072,),
        "linear.weight": (256, 3072),
    }
    assert {name: names.get(name) for name in shapes} == shapes
    assert "feature_extract.model.encoder.layers.1.self_attn.relative_attention_bias.weight" not in names


def test_the_aesthetics_network_has_the_published_tensors():
    names = layout(AudioboxAesthetics)
    assert len(names) == 324
    shapes = {
        "wavlm_model.feature_extractor.conv_layers.0.2.weight": (512,),
        "wavlm_model.encoder.layers.0.self_attn.relative_attention_bias.weight": (320, 12),
        "wavlm_model.encoder.pos_conv.0.weight_v": (768, 48, 128),
        "wavlm_model.encoder.layers.11.fc2.weight": (768, 3072),
        "layer_weights.PC": (13,),
        "proj_layer.CE.0.weight": (768, 768),
        "proj_layer.CU.10.bias": (768,),
        "proj_layer.PQ.12.weight": (1, 768),
    }
    assert {name: names.get(name) for name in shapes} == shapes
    assert "wavlm_model.feature_extractor.conv_layers.1.2.weight" not in names
