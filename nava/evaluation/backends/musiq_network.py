"""MUSIQ (Ke et al. 2021, arXiv 2108.05997), trained on KonIQ-10k: how good a picture is, 0 to 100.

Section 1.4 of the evaluation reference; structure and tensor names are those of pyiqa's file
`musiq_koniq_ckpt-e95806b9.pth`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nava.evaluation.backends.musiq_input import GRID, LONGER_SIDES, PATCH, Patches

GROUPS = 32
_EPSILON, _BLOCK_EPSILON, _WEIGHT_EPSILON = 1e-6, 1e-4, 1e-5


@dataclass(frozen=True)
class MusiqSize:
    """Sizes of a network; those by default are published.

    Attributes:
        channels: of the stem; its block ends on four times as many.
        inner: width inside the transformer's two-layer networks.
    """

    channels: int = 64
    width: int = 384
    inner: int = 1152
    heads: int = 6
    layers: int = 14


class _StandardConv(nn.Conv2d):
    """A convolution whose weights have mean 0 and deviation 1 per output channel, and output ceil(input / stride)."""

    def forward(self, picture_NCHW: Tensor) -> Tensor:
        spread_O111, mean_O111 = torch.std_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        weight = (self.weight - mean_O111) / (spread_O111 + _WEIGHT_EPSILON)
        padded = _same(picture_NCHW, self.kernel_size[0], self.stride[0])
        return functional.conv2d(padded, weight, stride=self.stride)


def _same(picture_NCHW: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around a square picture as TensorFlow has them: what is odd goes right and below."""
    side = picture_NCHW.shape[-1]
    missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    before, after = missing // 2, missing - missing // 2
    return functional.pad(picture_NCHW, (before, after, before, after))


def _layer(sources: int, targets: int, kernel: int = 1) -> tuple[_StandardConv, nn.GroupNorm]:
    return _StandardConv(sources, targets, kernel, bias=False), nn.GroupNorm(GROUPS, targets, eps=_BLOCK_EPSILON)


class _Bottleneck(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.gn1 = _layer(channels, channels)
        self.conv2, self.gn2 = _layer(channels, channels, kernel=3)
        self.conv3, self.gn3 = _layer(channels, 4 * channels)
        self.conv_proj, self.gn_proj = _layer(channels, 4 * channels)

    def forward(self, picture_NCHW: Tensor) -> Tensor:
        inner = functional.relu(self.gn1(self.conv1(picture_NCHW)))
        inner = functional.relu(self.gn2(self.conv2(inner)))
        return functional.relu(self.gn3(self.conv3(inner)) + self.gn_proj(self.conv_proj(picture_NCHW)))


class _Attention(nn.Module):
    def __init__(self, size: MusiqSize) -> None:
        super().__init__()
        self._heads = size.heads
        self.query, self.key, self.value, self.out = (nn.Linear(size.width, size.width) for _ in range(4))

    def forward(self, hidden_ND: Tensor) -> Tensor:
        tokens, width = hidden_ND.shape
        query, key, value = (
            layer(hidden_ND).view(tokens, self._heads, width // self._heads).transpose(0, 1)
            for layer in (self.query, self.key, self.value)
        )
        attended_HND = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        out_ND: Tensor = self.out(attended_HND.transpose(0, 1).reshape(tokens, width))
        return out_ND


class _Block(nn.Module):
    def __init__(self, size: MusiqSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=_EPSILON)
        self.attention = _Attention(size)
        self.norm2 = nn.LayerNorm(size.width, eps=_EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(size.width, size.inner), "fc2": nn.Linear(size.inner, size.width)},
        )

    def forward(self, hidden_ND: Tensor) -> Tensor:
        hidden_ND = hidden_ND + self.attention(self.norm1(hidden_ND))
        changed_ND: Tensor = self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(hidden_ND))))
        return hidden_ND + changed_ND


class _Encoder(nn.Module):
    def __init__(self, size: MusiqSize) -> None:
        super().__init__()
        self.posembed_input = nn.ParameterDict({"position_emb": torch.zeros(1, GRID * GRID, size.width)})
        self.scaleembed_input = nn.ParameterDict({"scale_emb": torch.zeros(len(LONGER_SIDES) + 1, size.width)})
        self.cls = nn.Parameter(torch.zeros(1, 1, size.width))
        self.encoder_norm = nn.LayerNorm(size.width, eps=_EPSILON)
        self.transformer = nn.ModuleDict({f"encoderblock_{layer}": _Block(size) for layer in range(size.layers)})

    def forward(self, token_ND: Tensor, seen: Patches) -> Tensor:
        token_ND = token_ND + self.posembed_input["position_emb"][0, seen.place_N]
        token_ND = token_ND + self.scaleembed_input["scale_emb"][seen.scale_N]
        hidden_ND = torch.cat([self.cls[0], token_ND])
        for block in self.transformer.values():
            hidden_ND = block(hidden_ND)
        whole_D: Tensor = self.encoder_norm(hidden_ND)[0]
        return whole_D


class MusiqNetwork(nn.Module):
    """The patches of a picture to its score."""

    def __init__(self, size: MusiqSize | None = None) -> None:
        super().__init__()
        size = size or MusiqSize()
        self.conv_root = _StandardConv(3, size.channels, 7, stride=2, bias=False)
        self.gn_root = nn.GroupNorm(GROUPS, size.channels, eps=_EPSILON)
        self.block1 = _Bottleneck(size.channels)
        self.embedding = nn.Linear(4 * size.channels * (PATCH // 4) ** 2, size.width)
        self.transformer_encoder = _Encoder(size)
        self.head = nn.Linear(size.width, 1)

    def forward(self, seen: Patches) -> Tensor:
        """One value, about 0 to 100."""
        stem = functional.relu(self.gn_root(self.conv_root(seen.picture_N3PP)))
        features_NCHW = self.block1(functional.max_pool2d(_same(stem, 3, 2), 3, 2))
        # TensorFlow's order, in which the weights were trained: channels last.
        token_ND = self.embedding(features_NCHW.permute(0, 2, 3, 1).flatten(1))
        score_1: Tensor = self.head(self.transformer_encoder(token_ND, seen))
        return score_1[0]
