"""The speaker network of Seed-TTS-eval: ECAPA-TDNN (arXiv 2005.07143) over the weighted states of WavLM large.

Section 1.8 of the evaluation reference; structure and tensor names are those of UniSpeech's `wavlm_large_finetune.pth`.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from transformers import WavLMConfig, WavLMModel

from nava.evaluation.backends import wavlm

SCALES = 8
BOTTLENECK = 128
DILATIONS = (2, 3, 4)
_WAVLM = "wavlm."
_NAMES = (
    (r"^layer_weights$", "feature_weight"),
    (r"^first\.conv\.", "layer1.conv."),
    (r"^first\.norm\.", "layer1.bn."),
    (r"\.reduce\.conv\.", ".Conv1dReluBn1.conv."),
    (r"\.reduce\.norm\.", ".Conv1dReluBn1.bn."),
    (r"\.multi_scale\.convs\.", ".Res2Conv1dReluBn.convs."),
    (r"\.multi_scale\.norms\.", ".Res2Conv1dReluBn.bns."),
    (r"\.expand\.conv\.", ".Conv1dReluBn2.conv."),
    (r"\.expand\.norm\.", ".Conv1dReluBn2.bn."),
    (r"\.gate\.squeeze\.", ".SE_Connect.linear1."),
    (r"\.gate\.excite\.", ".SE_Connect.linear2."),
    (r"^merge\.", "conv."),
    (r"^pooling\.attend\.", "pooling.linear1."),
    (r"^pooling\.weigh\.", "pooling.linear2."),
    (r"^norm\.", "bn."),
    (r"^embed\.", "linear."),
)
_BLOCK = re.compile(r"^blocks\.(\d+)\.")


class ConvReluNorm(nn.Module):
    """Convolution, ReLU, batch norm, in this order."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        """[B, inputs, T] to [B, outputs, T]."""
        normed: Tensor = self.norm(torch.relu(self.conv(hidden_BCT)))
        return normed


class MultiScale(nn.Module):
    """Res2Net: channels in eight groups; each but the last is convolved after the one before was added to it."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALES
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation) for _ in range(SCALES - 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(SCALES - 1))

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        """Shape kept."""
        *groups, untouched = hidden_BCT.chunk(SCALES, dim=1)
        done: list[Tensor] = []
        for group, conv, norm in zip(groups, self.convs, self.norms, strict=True):
            done.append(norm(torch.relu(conv(group + done[-1] if done else group))))
        return torch.cat([*done, untouched], dim=1)


class Gate(nn.Module):
    """Squeeze and excitation: each channel scaled by what all of them are on average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, BOTTLENECK)
        self.excite = nn.Linear(BOTTLENECK, channels)

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        """Shape kept."""
        scale_BC = torch.sigmoid(self.excite(torch.relu(self.squeeze(hidden_BCT.mean(dim=2)))))
        return hidden_BCT * scale_BC[..., None]


class Block(nn.Module):
    """SE-Res2Block with a skip connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.reduce = ConvReluNorm(channels, channels)
        self.multi_scale = MultiScale(channels, dilation)
        self.expand = ConvReluNorm(channels, channels)
        self.gate = Gate(channels)

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        """Shape kept."""
        changed_BCT: Tensor = self.gate(self.expand(self.multi_scale(self.reduce(hidden_BCT))))
        return hidden_BCT + changed_BCT


class AttentivePooling(nn.Module):
    """Mean and deviation over time under weights that each channel has of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = nn.Conv1d(channels, BOTTLENECK, 1)
        self.weigh = nn.Conv1d(BOTTLENECK, channels, 1)

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        """[B, C, T] to [B, 2 C]."""
        weight_BCT = torch.softmax(self.weigh(torch.tanh(self.attend(hidden_BCT))), dim=2)
        mean_BC = (weight_BCT * hidden_BCT).sum(dim=2)
        variance_BC = (weight_BCT * hidden_BCT**2).sum(dim=2) - mean_BC**2
        return torch.cat([mean_BC, variance_BC.clamp_min(1e-9).sqrt()], dim=1)


class SpeakerNetwork(nn.Module):
    """A recording to the embedding of its speaker.

    Args:
        config: of WavLM.
        channels: of the blocks.
        pooled: channels that are pooled.
        width: of the embedding.
    """

    def __init__(self, config: WavLMConfig, channels: int = 512, pooled: int = 1536, width: int = 256) -> None:
        super().__init__()
        self.wavlm = WavLMModel(config)
        self.layer_weights = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.first = ConvReluNorm(config.hidden_size, channels, kernel=5)
        self.blocks = nn.ModuleList(Block(channels, dilation) for dilation in DILATIONS)
        self.merge = nn.Conv1d(channels * len(DILATIONS), pooled, 1)
        self.pooling = AttentivePooling(pooled)
        self.norm = nn.BatchNorm1d(2 * pooled)
        self.embed = nn.Linear(2 * pooled, width)

    def forward(self, samples_N: Tensor) -> Tensor:
        """16 kHz samples [N] to an embedding [width], not of unit length."""
        # WavLM large was trained on recordings of mean 0 and deviation 1.
        normal_N = nn.functional.layer_norm(samples_N, samples_N.shape)
        states_LTD = wavlm.hidden_states(self.wavlm, normal_N[None])
        mixed_TD = torch.einsum("l,ltd->td", torch.softmax(self.layer_weights, dim=0), states_LTD)
        hidden_1CT = self.first(nn.functional.instance_norm(mixed_TD.T[None] + 1e-6))
        outputs = []
        for block in self.blocks:
            hidden_1CT = block(hidden_1CT)
            outputs.append(hidden_1CT)
        pooled_1C = self.norm(self.pooling(torch.relu(self.merge(torch.cat(outputs, dim=1)))))
        embedding_D: Tensor = self.embed(pooled_1C)[0]
        return embedding_D

    def published_name(self, name: str) -> str:
        """What the published checkpoint calls a tensor of this network."""
        if name.startswith(_WAVLM):
            config = self.wavlm.config
            return f"feature_extract.model.{wavlm.published_name(name.removeprefix(_WAVLM), config)}"
        name = _BLOCK.sub(lambda found: f"layer{int(found[1]) + 2}.", name)
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        return name
