"""PaSST (arXiv 2110.05069), the AudioSet classifier of the KL metric: a distilled vision transformer over log-mel.

Section 1.6 of the evaluation reference; structure and tensor names are those of `passt-s-f128-p16-s10-ap.476-swa.pt`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nava.evaluation.backends.passt_input import MEL_BINS

_EPSILON = 1e-6


@dataclass(frozen=True)
class PasstSize:
    """Sizes of a network; those by default are published.

    Attributes:
        frames: that the time embedding was trained for; shorter sounds use its beginning.
        patch, stride: in mel bins and in frames alike.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    classes: int = 527
    frames: int = 998
    patch: int = 16
    stride: int = 10


class _Attention(nn.Module):
    def __init__(self, size: PasstSize) -> None:
        super().__init__()
        self._heads = size.heads
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.proj = nn.Linear(size.width, size.width)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        batch, tokens, width = hidden_BND.shape
        parts = self.qkv(hidden_BND).view(batch, tokens, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(*parts.unbind(0))
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, tokens, width))
        return projected


class _Block(nn.Module):
    def __init__(self, size: PasstSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=_EPSILON)
        self.attn = _Attention(size)
        self.norm2 = nn.LayerNorm(size.width, eps=_EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(size.width, 4 * size.width), "fc2": nn.Linear(4 * size.width, size.width)}
        )

    def forward(self, hidden_BND: Tensor) -> Tensor:
        hidden_BND = hidden_BND + self.attn(self.norm1(hidden_BND))
        changed_BND: Tensor = self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm2(hidden_BND))))
        return hidden_BND + changed_BND


class PasstNetwork(nn.Module):
    """A log-mel picture to the logits of AudioSet's classes."""

    def __init__(self, size: PasstSize | None = None) -> None:
        super().__init__()
        size = size or PasstSize()
        rows, columns = ((length - size.patch) // size.stride + 1 for length in (MEL_BINS, size.frames))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, size.width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, size.width, rows, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, size.width, 1, columns))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, size.width, size.patch, size.stride)})
        self.blocks = nn.Sequential(*(_Block(size) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width, eps=_EPSILON)
        self.head = nn.Sequential(nn.LayerNorm(size.width), nn.Linear(size.width, size.classes))
        # Part of the file and of distillation; nothing here asks it.
        self.head_dist = nn.Linear(size.width, size.classes)

    def forward(self, mel_MT: Tensor) -> Tensor:
        """Logits [K] of a picture [128, T] of 16 frames or more, and of no more than the time embedding knows."""
        logits_K: Tensor = self.head(self.embedding(mel_MT))
        return logits_K

    def embedding(self, mel_MT: Tensor) -> Tensor:
        """What the logits are taken from [D]: the mean of both tokens of the whole."""
        patches_1DFT = self.patch_embed["proj"](mel_MT[None, None])
        columns = patches_1DFT.shape[-1]
        patches_1DFT = patches_1DFT + self.time_new_pos_embed[..., :columns] + self.freq_new_pos_embed
        tokens_12D = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        hidden_1ND = torch.cat([tokens_12D, patches_1DFT.flatten(2).transpose(1, 2)], dim=1)
        hidden_1ND = self.norm(self.blocks(hidden_1ND))
        return hidden_1ND[0, :2].mean(dim=0)
