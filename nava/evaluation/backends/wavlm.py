"""WavLM (arXiv 2110.13900) of transformers, under the tensor names of its publishers (unilm, s3prl, fairseq)."""

from __future__ import annotations

import re

import torch
from torch import Tensor
from transformers import WavLMConfig, WavLMModel

_NAMES = (
    (r"^masked_spec_embed$", "mask_emb"),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.conv\.", r"feature_extractor.conv_layers.\1.0."),
    (r"^encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original0$", "encoder.pos_conv.0.weight_g"),
    (r"^encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original1$", "encoder.pos_conv.0.weight_v"),
    (r"^encoder\.pos_conv_embed\.conv\.", "encoder.pos_conv.0."),
    (r"^(encoder\.layers\.\d+)\.attention\.gru_rel_pos_linear\.", r"\1.self_attn.grep_linear."),
    (r"^(encoder\.layers\.\d+)\.attention\.gru_rel_pos_const$", r"\1.self_attn.grep_a"),
    (r"^(encoder\.layers\.\d+)\.attention\.rel_attn_embed\.", r"\1.self_attn.relative_attention_bias."),
    (r"^(encoder\.layers\.\d+)\.attention\.", r"\1.self_attn."),
    (r"^(encoder\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.intermediate_dense\.", r"\1.fc1."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.output_dense\.", r"\1.fc2."),
)
_CONV_NORM = re.compile(r"^feature_extractor\.conv_layers\.(\d+)\.layer_norm\.")


def large_config() -> WavLMConfig:
    """WavLM large: 24 layers of 1024, layer norms first and after every convolution."""
    return WavLMConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )


def base_plus_config() -> WavLMConfig:
    """WavLM base plus: 12 layers of 768, layer norms last, one group norm after the first convolution."""
    return WavLMConfig()


def published_name(name: str, config: WavLMConfig) -> str:
    """What the publishers call a tensor of `WavLMModel`."""
    # A layer norm lies between two transpositions in a sequence of its own; the group norm does not.
    place = "2.1" if config.feat_extract_norm == "layer" else "2"
    if _CONV_NORM.match(name):
        return _CONV_NORM.sub(rf"feature_extractor.conv_layers.\1.{place}.", name)
    for pattern, replacement in _NAMES:
        renamed, changes = re.subn(pattern, replacement, name)
        if changes:
            return renamed
    return name


def hidden_states(model: WavLMModel, samples_1N: Tensor, heard_frames: int | None = None) -> Tensor:
    """What goes into the first layer and what comes out of each [layers + 1, T, D].

    Of a network with layer norms first, the last state has passed the encoder's own, as in the published code;
    transformers returns it without.

    Args:
        model: the network.
        samples_1N: 16 kHz samples [1, N], prepared as the network wants them.
        heard_frames: of samples that end in padding, how many frames are sound: no frame hears the others, and they are
            not returned. None for all.
    """
    features_1TC = model.feature_extractor(samples_1N).transpose(1, 2)
    hidden_1TD, _ = model.feature_projection(features_1TC)
    if heard_frames is not None:
        hidden_1TD[:, heard_frames:] = 0
    encoder, norms_first = model.encoder, model.config.do_stable_layer_norm
    hidden_1TD = hidden_1TD + encoder.pos_conv_embed(hidden_1TD)
    # Frames meet each other in attention alone, which is masked to those that are sound: the others may be dropped.
    hidden_1TD = hidden_1TD[:, :heard_frames]
    if not norms_first:
        hidden_1TD = encoder.layer_norm(hidden_1TD)
    states, bias = [hidden_1TD], None
    for layer in encoder.layers:
        hidden_1TD, bias = layer(hidden_1TD, position_bias=bias)
        states.append(hidden_1TD)
    if norms_first:
        states[-1] = encoder.layer_norm(hidden_1TD)
    return torch.cat(states)
