"""The two kinds of transformer block, and the output head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from nava.config.model import ModelConfig
from nava.model.attention import Attention, Modality, TokenLayout


class Modulation(nn.Module):
    """The learned part of a block's shifts, scales and gates; the time embedding adds the rest."""

    def __init__(self, dim: int, count: int = 6) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, count, dim) / dim**0.5)

    def forward(self, e0_BLKD: Tensor) -> tuple[Tensor, ...]:
        """Six [batch, 1 or length, dim]: shift, scale, gate of attention, then of the feed-forward network."""
        return (self.modulation + e0_BLKD).unbind(2)


def modulated_norm(x_BLD: Tensor, shift: Tensor, scale: Tensor, eps: float) -> Tensor:
    """LayerNorm without learned parameters, then shift and scale."""
    return torch.addcmul(shift, layer_norm(x_BLD, x_BLD.shape[-1:], eps=eps), 1 + scale)


def feed_forward(dim: int, hidden: int) -> nn.Sequential:
    """Linear, tanh-GELU, Linear."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, dim))


class HierarchicalAlignmentLayer(nn.Module):
    """HAL: joint self-attention of both modalities, each with attention weights and modulation of its own.

    norm3 and the feed-forward network are shared by the modalities unless the configuration splits them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, self.eps, self.split = config.dim, config.eps, config.split_norm_ffn
        self.self_attn = Attention(dim, config.num_heads, config.eps, ("video", "audio"))
        self.norm3 = nn.LayerNorm(dim, eps=config.eps)
        self.cross_attn = Attention(dim, config.num_heads, config.eps, ("video", "audio"))
        self.ffn = feed_forward(dim, config.ffn_dim)
        self.modulation = Modulation(dim)
        self.modulation_audio = Modulation(dim)
        if self.split:
            self.norm3_audio = nn.LayerNorm(dim, eps=config.eps)
            self.ffn_audio = feed_forward(dim, config.ffn_dim)

    def forward(
        self, tokens: dict[Modality, Tensor], e0: dict[Modality, Tensor], context_BND: Tensor, layout: TokenLayout
    ) -> dict[Modality, Tensor]:
        """Map the tokens [batch, length, dim] of each modality present to new ones of the same shape."""
        parameters = {m: self._modulation(m)(e0[m]) for m in tokens}
        attended = self._attend(tokens, parameters, layout)
        out: dict[Modality, Tensor] = {}
        for m, x in tokens.items():
            _, _, gate1, shift2, scale2, gate2 = parameters[m]
            own = m == "audio" and self.split
            norm3, ffn = (self.norm3_audio, self.ffn_audio) if own else (self.norm3, self.ffn)
            x = torch.addcmul(x, gate1, attended[m])
            x = x + self.cross_attn.cross(norm3(x), context_BND, m)
            out[m] = torch.addcmul(x, gate2, ffn(modulated_norm(x, shift2, scale2, self.eps)))
        return out

    def _modulation(self, modality: Modality) -> Modulation:
        return self.modulation if modality == "video" else self.modulation_audio

    def _attend(
        self, tokens: dict[Modality, Tensor], parameters: dict[Modality, tuple[Tensor, ...]], layout: TokenLayout
    ) -> dict[Modality, Tensor]:
        projected = []
        for m, x in tokens.items():
            shift1, scale1 = parameters[m][:2]
            y = modulated_norm(x, shift1, scale1, self.eps)
            projected.append(self.self_attn.project(y, rotation_LP=layout.rotation(m), stream=m))
        q, k, v = (torch.cat(parts, dim=1) for parts in zip(*projected))
        parts = layout.attend(q, k, v).split([x.shape[1] for x in tokens.values()], dim=1)
        return {m: self.self_attn.output(part, m) for m, part in zip(tokens, parts)}


class UnifiedFusionLayer(nn.Module):
    """UFL: the same three steps with one weight set for all tokens of the joint sequence."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.self_attn = Attention(config.dim, config.num_heads, config.eps)
        self.norm3 = nn.LayerNorm(config.dim, eps=config.eps)
        self.cross_attn = Attention(config.dim, config.num_heads, config.eps)
        self.ffn = feed_forward(config.dim, config.ffn_dim)
        self.modulation = Modulation(config.dim)

    def forward(self, x_BLD: Tensor, e0_BLKD: Tensor, context_BND: Tensor, layout: TokenLayout) -> Tensor:
        """Map joint tokens [batch, video + audio, dim] to new ones of the same shape."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(e0_BLKD)
        y = modulated_norm(x_BLD, shift1, scale1, self.eps)
        q, k, v = self.self_attn.project(y, rotation_LP=layout.rotations)
        x_BLD = torch.addcmul(x_BLD, gate1, self.self_attn.output(layout.attend(q, k, v)))
        x_BLD = x_BLD + self.cross_attn.cross(self.norm3(x_BLD), context_BND)
        return torch.addcmul(x_BLD, gate2, self.ffn(modulated_norm(x_BLD, shift2, scale2, self.eps)))


class Head(nn.Module):
    """Modulated norm and a linear map to one modality's latent channels."""

    def __init__(self, dim: int, out_dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.head = nn.Linear(dim, out_dim)

    def forward(self, x_BLD: Tensor, e_BLD: Tensor) -> Tensor:
        """Latent channels of each token, [batch, length, out_dim]."""
        shift, scale = (self.modulation + e_BLD.unsqueeze(2)).unbind(2)
        return self.head(modulated_norm(x_BLD, shift, scale, self.eps))
