"""Sizes of Synchformer, and the layers that both of its streams have.

Tensor names are those of `synchformer_state_dict.pth`; see `synchformer_network` for how far they are verified.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

EPSILON = 1e-6


@dataclass(frozen=True)
class SynchformerSize:
    """Sizes of a network; those by default are published.

    Attributes:
        width: of every vector.
        heads, layers: of either stream.
        sync_heads, sync_layers: of the transformer that compares the streams.
        side: pixels of the square picture.
        segments: in one window.
        classes: offsets that it tells apart.
    """

    width: int = 768
    heads: int = 12
    layers: int = 12
    sync_heads: int = 8
    sync_layers: int = 3
    side: int = 224
    segments: int = 14
    classes: int = 21


def in_heads(vectors_BND: Tensor, heads: int) -> Tensor:
    """[B, N, D] to [B, heads, N, D / heads]."""
    return vectors_BND.unflatten(-1, (heads, -1)).transpose(1, 2)


def attended(query_BND: Tensor, key_BND: Tensor, value_BND: Tensor, heads: int) -> Tensor:
    """Attention of all tokens to all, its heads side by side again [B, N, D]."""
    query, key, value = (in_heads(part_BND, heads) for part_BND in (query_BND, key_BND, value_BND))
    return nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Summary(nn.Module):
    """One transformer layer, norms first, whose additional token comes to stand for a set of tokens.

    The layout is that of torch's `TransformerEncoderLayer` with a `cls_token` beside.
    """

    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self._heads = size.heads
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.self_attn = nn.MultiheadAttention(size.width, size.heads, batch_first=True)
        self.linear1 = nn.Linear(size.width, 4 * size.width)
        self.linear2 = nn.Linear(4 * size.width, size.width)
        self.norm1 = nn.LayerNorm(size.width, eps=EPSILON)
        self.norm2 = nn.LayerNorm(size.width, eps=EPSILON)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """[B, D] of B sets of N tokens."""
        hidden_BND = torch.cat([self.cls_token.expand(len(tokens_BND), -1, -1), tokens_BND], dim=1)
        query, key, value = nn.functional.linear(
            self.norm1(hidden_BND), self.self_attn.in_proj_weight, self.self_attn.in_proj_bias
        ).chunk(3, dim=-1)
        # What the other tokens become is not asked for.
        heard_B1D = attended(query[:, :1], key, value, self._heads)
        summary_B1D = hidden_BND[:, :1] + self.self_attn.out_proj(heard_B1D)
        changed_B1D: Tensor = self.linear2(nn.functional.gelu(self.linear1(self.norm2(summary_B1D))))
        return (summary_B1D + changed_B1D)[:, 0]
