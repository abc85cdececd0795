"""Small networks with random weights in files of the published layouts."""

import json

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import ClapConfig, ClapModel, WavLMConfig

from nava.evaluation.backends.aesthetics import AXES, AestheticsNetwork
from nava.evaluation.backends.audiobox import AudioboxAesthetics
from nava.evaluation.backends.ecapa_tdnn import SpeakerNetwork
from nava.evaluation.backends.passt import Passt
from nava.evaluation.backends.passt_network import PasstNetwork, PasstSize
from nava.evaluation.backends.wavlm_ecapa import WavlmEcapa

RATINGS = {axis: {"mean": 5.0 + index, "std": 1.5 + index / 4} for index, axis in enumerate(AXES)}
STRUCTURE = {
    "proj_num_layer": 5,
    "proj_ln": True,
    "proj_act_fn": "gelu",
    "proj_dropout": 0,
    "nth_layer": 13,
    "use_weighted_layer_sum": True,
    "precision": "32",
    "normalize_embed": True,
    "output_dim": 1,
}
PASST_SIZE = PasstSize(width=16, layers=2, heads=2, classes=7)


def small_wavlm(**changes):
    """WavLM with its seven convolutions, so with its 20 ms frames, but narrow and of two layers."""
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    }
    return WavLMConfig(**sizes, **changes)


def norms_first():
    return small_wavlm(feat_extract_norm="layer", do_stable_layer_norm=True)


class SmallWavlmEcapa(WavlmEcapa):
    @staticmethod
    def build():
        return SpeakerNetwork(norms_first(), channels=32, pooled=48, width=12)


class SmallAudiobox(AudioboxAesthetics):
    @staticmethod
    def build():
        return AestheticsNetwork(small_wavlm())


class SmallPasst(Passt):
    @staticmethod
    def build():
        return PasstNetwork(PASST_SIZE)


def published_tensors(network, seed=0):
    """Random tensors of a network under their published names; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            tensors[network.published_name(name)] = tensor
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var") or "original0" in name:
            drawn = drawn.abs() + 0.5
        elif tensor.ndim > 1:
            drawn = drawn / max(1, tensor[0].numel()) ** 0.5
        tensors[network.published_name(name)] = drawn
    return tensors


def write_speaker(folder, seed=0, change=None):
    """`wavlm_large_finetune.pth`; `change` may change its tensors before they are written."""
    tensors = published_tensors(SmallWavlmEcapa.build(), seed)
    tensors["loss_calculator.projection.weight"] = torch.zeros(3, 12)
    if change:
        change(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": tensors, "best_valid_eer": 0.5}, folder / "wavlm_large_finetune.pth")
    return folder


def write_aesthetics(folder, seed=0, legacy=False, change=None, **structure):
    """`model.safetensors` and `config.json`, or the older `checkpoint.pt`."""
    tensors = published_tensors(SmallAudiobox.build(), seed)
    if change:
        change(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    described = STRUCTURE | structure
    if legacy:
        named = {f"model.{name}": tensor for name, tensor in tensors.items()}
        value = {"state_dict": named, "model_cfg": described, "target_transform": RATINGS}
        torch.save(value, folder / "checkpoint.pt")
    else:
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(described | {"target_transform": RATINGS}))
    return folder


def write_clap(folder, seed=0, fusion=True):
    """A folder as `laion/clap-htsat-fused`."""
    text = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio = {
        "patch_embeds_hidden_size": 8,
        "hidden_size": 64,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 4, 8],
        "enable_fusion": fusion,
        "fusion_type": "aff_2d" if fusion else None,
        "patch_embed_input_channels": 1,
    }
    config = ClapConfig(
        text_config={**text, "intermediate_size": 32, "max_position_embeddings": 90},
        audio_config=audio,
        projection_dim=12,
    )
    torch.manual_seed(seed)
    ClapModel(config).save_pretrained(folder)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    ids = {token: index for index, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_passt(folder, change=None):
    """`passt-s-f128-p16-s10-ap.476-swa.pt`."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(tensor.shape, generator=generator) * (0.5 if tensor.ndim == 1 else 0.2)
        for name, tensor in PasstNetwork(PASST_SIZE).state_dict().items()
    }
    if change:
        change(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, folder / "passt-s-f128-p16-s10-ap.476-swa.pt")
    return folder
