"""MANIQA (Yang et al. 2022, arXiv 2204.08958), trained on KonIQ-10k: how good a picture is, 0 to 1.

Section 1.4 of the evaluation reference; structure and tensor names are those of `ckpt_koniq10k.pt`, whose backbone is
timm's `vit_base_patch8_224`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-6
_SCORE_EPSILON = 1e-8


@dataclass(frozen=True)
class ManiqaSize:
    """Sizes of a network; those by default are published.

    Attributes:
        side: of the square picture, in pixels.
        width, layers, heads, classes: of the vision transformer.
        taps: layers whose outputs are looked at.
        window: side of a window of the Swin blocks, in patches.
        swin_heads, swin_inner: of the Swin blocks.
        stages: groups of two Swin blocks in each half.
        attentions: blocks of attention between channels in each half.
        scale: how much of a group's output is added to its input.
    """

    side: int = 224
    patch: int = 8
    width: int = 768
    layers: int = 12
    heads: int = 12
    classes: int = 1000
    taps: tuple[int, ...] = (6, 7, 8, 9)
    window: int = 4
    swin_heads: int = 4
    swin_inner: int = 768
    stages: int = 2
    attentions: int = 2
    scale: float = 0.8

    @property
    def places(self) -> int:
        """Patches on a side."""
        return self.side // self.patch


def _mlp(width: int, inner: int) -> nn.ModuleDict:
    return nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})


def _through(mlp: nn.ModuleDict, hidden: Tensor) -> Tensor:
    changed: Tensor = mlp["fc2"](functional.gelu(mlp["fc1"](hidden)))
    return changed


class _SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, hidden_BND: Tensor, bias: Tensor | None = None) -> Tensor:
        """The same shape; `bias` is added to the products of queries and keys."""
        batch, tokens, width = hidden_BND.shape
        parts = self.qkv(hidden_BND).view(batch, tokens, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, tokens, width))
        return projected


class _VitBlock(nn.Module):
    def __init__(self, size: ManiqaSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=_EPSILON)
        self.attn = _SelfAttention(size.width, size.heads)
        self.norm2 = nn.LayerNorm(size.width, eps=_EPSILON)
        self.mlp = _mlp(size.width, 4 * size.width)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        hidden_BND = hidden_BND + self.attn(self.norm1(hidden_BND))
        return hidden_BND + _through(self.mlp, self.norm2(hidden_BND))


class _Vit(nn.Module):
    def __init__(self, size: ManiqaSize) -> None:
        super().__init__()
        self._taps = size.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, size.places**2 + 1, size.width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, size.width, size.patch, size.patch)})
        self.blocks = nn.ModuleList([_VitBlock(size) for _ in range(size.layers)])
        # Part of the file; nothing here asks them.
        self.norm = nn.LayerNorm(size.width, eps=_EPSILON)
        self.head = nn.Linear(size.width, size.classes)

    def forward(self, picture_B3HW: Tensor) -> Tensor:
        """Outputs of the tapped layers side by side, without the token of the whole: [B, N, taps * D]."""
        patches_BND = self.patch_embed["proj"](picture_B3HW).flatten(2).transpose(1, 2)
        whole_B1D = self.cls_token.expand(len(picture_B3HW), -1, -1)
        hidden_BND = torch.cat([whole_B1D, patches_BND], dim=1) + self.pos_embed
        tapped: list[Tensor] = []
        for layer, block in enumerate(self.blocks[: max(self._taps) + 1]):
            hidden_BND = block(hidden_BND)
            if layer in self._taps:
                tapped.append(hidden_BND[:, 1:])
        return torch.cat(tapped, dim=2)


class _ChannelAttention(nn.Module):
    """Attention between channels, each a vector of what it is at all places."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.c_q, self.c_k, self.c_v = (nn.Linear(places, places) for _ in range(3))

    def forward(self, channels_BCN: Tensor) -> Tensor:
        attended_BCN = functional.scaled_dot_product_attention(
            self.c_q(channels_BCN), self.c_k(channels_BCN), self.c_v(channels_BCN)
        )
        # As trained: read column by column and written row by row, which mixes channels and places.
        mixed_BCN = attended_BCN.transpose(1, 2).reshape(channels_BCN.shape)
        return channels_BCN + mixed_BCN


class _WindowAttention(_SelfAttention):
    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__(width, heads)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.relative_position_index: Tensor
        self.register_buffer("relative_position_index", torch.zeros(window**2, window**2, dtype=torch.long))

    def bias(self) -> Tensor:
        """Per head and pair of places in a window [H, P, P]."""
        bias_PPH: Tensor = self.relative_position_bias_table[self.relative_position_index]
        return bias_PPH.permute(2, 0, 1)


class _SwinBlock(nn.Module):
    def __init__(self, width: int, size: ManiqaSize, shifted: bool) -> None:
        super().__init__()
        self._places, self._window = size.places, size.window
        self._shift = size.window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, size.swin_heads, size.window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _mlp(width, size.swin_inner)
        self.attn_mask: Tensor | None
        mask = torch.zeros((size.places // size.window) ** 2, size.window**2, size.window**2) if shifted else None
        self.register_buffer("attn_mask", mask)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        hidden_BND = hidden_BND + self._attended(self.norm1(hidden_BND))
        return hidden_BND + _through(self.mlp, self.norm2(hidden_BND))

    def _attended(self, hidden_BND: Tensor) -> Tensor:
        """Attention inside each window, the windows half a window further where they are shifted."""
        batch, _, width = hidden_BND.shape
        side, count = self._window, self._places // self._window
        turned = hidden_BND.view(batch, self._places, self._places, width).roll((-self._shift,) * 2, (1, 2))
        windows = turned.view(batch, count, side, count, side, width).transpose(2, 3)
        bias = self.attn.bias()[None]
        if self.attn_mask is not None:
            bias = bias + self.attn_mask[:, None].repeat(batch, 1, 1, 1)
        attended = self.attn(windows.reshape(-1, side * side, width), bias)
        back = attended.view(batch, count, count, side, side, width).transpose(2, 3)
        return back.reshape(batch, self._places, self._places, width).roll((self._shift,) * 2, (1, 2)).flatten(1, 2)


class _SwinStage(nn.Module):
    def __init__(self, width: int, size: ManiqaSize) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.blocks = nn.ModuleList([_SwinBlock(width, size, shifted) for shifted in (False, True)])

    def forward(self, hidden_BND: Tensor) -> Tensor:
        for block in self.blocks:
            hidden_BND = block(hidden_BND)
        places = round(hidden_BND.shape[1] ** 0.5)
        picture_BDHW = hidden_BND.transpose(1, 2).unflatten(2, (places, places))
        return functional.relu(self.conv(picture_BDHW)).flatten(2).transpose(1, 2)


class _Swin(nn.Module):
    def __init__(self, width: int, size: ManiqaSize) -> None:
        super().__init__()
        self._scale = size.scale
        # Part of the file; nothing here asks it.
        self.downsample = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList([_SwinStage(width, size) for _ in range(size.stages)])

    def forward(self, hidden_BND: Tensor) -> Tensor:
        for layer in self.layers:
            hidden_BND = self._scale * layer(hidden_BND) + hidden_BND
        return hidden_BND


class ManiqaNetwork(nn.Module):
    """Square pictures to their scores."""

    def __init__(self, size: ManiqaSize | None = None) -> None:
        super().__init__()
        self.size = size = size or ManiqaSize()
        width, half, places = size.width, size.width // 2, size.places**2
        self.vit = _Vit(size)
        self.tablock1 = nn.ModuleList([_ChannelAttention(places) for _ in range(size.attentions)])
        self.conv1 = nn.Conv2d(len(size.taps) * width, width, 1)
        self.swintransformer1 = _Swin(width, size)
        self.tablock2 = nn.ModuleList([_ChannelAttention(places) for _ in range(size.attentions)])
        self.conv2 = nn.Conv2d(width, half, 1)
        self.swintransformer2 = _Swin(half, size)
        self.fc_score, self.fc_weight = (_place_head(half, last) for last in (nn.ReLU(), nn.Sigmoid()))

    def forward(self, picture_B3HW: Tensor) -> Tensor:
        """Scores [B], about 0 to 1, of pictures from -1 to 1: those of places, weighted by how much they matter."""
        hidden_BND = self._half(self.vit(picture_B3HW), self.tablock1, self.conv1, self.swintransformer1)
        hidden_BND = self._half(hidden_BND, self.tablock2, self.conv2, self.swintransformer2)
        score_BN, weight_BN = self.fc_score(hidden_BND)[..., 0], self.fc_weight(hidden_BND)[..., 0]
        score_B: Tensor = (score_BN * weight_BN).sum(dim=1) / (weight_BN.sum(dim=1) + _SCORE_EPSILON)
        return score_B

    @staticmethod
    def _half(hidden_BND: Tensor, attentions: nn.ModuleList, narrow: nn.Conv2d, swin: _Swin) -> Tensor:
        channels_BCN = hidden_BND.transpose(1, 2)
        for attention in attentions:
            channels_BCN = attention(channels_BCN)
        narrowed_BDN = functional.conv1d(channels_BCN, narrow.weight[..., 0], narrow.bias)
        narrowed_BND: Tensor = swin(narrowed_BDN.transpose(1, 2))
        return narrowed_BND


def _place_head(width: int, last: nn.Module) -> nn.Sequential:
    """One value per place; dropout, which does nothing here, holds its number in the file's names."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(), nn.Linear(width, 1), last)
